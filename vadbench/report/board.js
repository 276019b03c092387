// The leaderboards of all groups, to be sorted by any column, searched and narrowed down.

// No data set, protocol, backbone or supervision is called so, whatever else they are called.
const ALL = "";
const SHORT = 16;
const FILTERS = [["dataset", "data set"], ["protocol", "protocol"], ["backbone", "backbone"], ["supervision", "supervision"]];
const OF_ROWS = ["backbone", "supervision"];
const values = (section, name) => (OF_ROWS.includes(name) ? section.rows.map((row) => row[name]) : [section[name]]);
const footnotes = new Map(data.footnotes);

// Letters of footnotes, which say what they stand for and lead there.
function letters(marks) {
  const links = marks.map((letter) => explained(make("a", { href: `#note-${letter}` }, letter), footnotes.get(letter)));
  return make("sup", {}, ...links.flatMap((link, i) => (i ? [",", link] : [link])));
}

function cell({ text, spread = "", without = "", interval = "", emphasis = "", tied = false, marks = [], value, explanation, star, settings, below = [], stacked = [] }) {
  const shown = make("span", { class: emphasis || null }, isolated(text));
  if (explanation) {
    shown.tabIndex = 0;
    explained(shown, explanation);
  }
  const deviation = spread ? [" ", make("small", {}, spread)] : [];
  const content = [shown, ...deviation, tied ? "\u00a0≈" : null, settings ? make("span", { class: "settings" }, " ", isolated(settings)) : null, marks.length ? letters(marks) : null];
  if (without) content.push(make("br"), make("small", { class: "without" }, without));
  if (interval) content.push(make("br"), make("small", {}, interval));
  if (below.length) content.push(make("br"), make("small", {}, isolated(below.join(", "))));
  // What columns say that a narrow screen has no room for.
  if (stacked.length) content.push(make("small", { class: "stacked" }, isolated(stacked.join(", "))));
  // Where some figures of a column have a star, the others leave room for it.
  if (star !== undefined) content.push(make("span", { class: "star" }, star ? "*" : ""));
  return { content: content.filter((part) => part !== null), value, class: star !== undefined ? "short" : text.length < SHORT ? null : "name" };
}

const tableRow = (row) => ({ ...row, cells: row.cells.map(cell) });
const searched = (row) => row.cells.map(({ value }) => (typeof value === "string" ? value : "")).join(" ").toLowerCase();

const sections = data.sections.map((section) => {
  const rows = section.rows.map((row, i) => ({ ...tableRow(row), attributes: { "data-row": i } }));
  const apart = section.apart && { heading: section.apart.heading, rows: section.apart.rows.map(tableRow) };
  const kind = section.published ? "published" : "measured";
  const heading = make("h2", {}, isolated(section.title), " ", make("span", { class: "tag" }, kind));
  const table = sortableTable(section.columns, rows, { "aria-label": section.title, class: "wrapped" }, apart);
  // Papers state hundreds of figures: closed until they are asked for.
  const node = section.published
    ? make("details", { class: kind, toggle: counted }, make("summary", {}, heading), table)
    : make("section", { class: kind }, heading, make("p", { class: "muted" }, isolated(section.note), " ", section.marks.length ? letters(section.marks) : null), table);
  return { ...section, node, texts: section.rows.map(searched), lines: [...node.querySelectorAll("tr[data-row]")], fitting: 0 };
});

function narrow() {
  const wanted = Object.fromEntries(FILTERS.map(([name]) => [name, document.getElementById(`filter-${name}`).value]));
  const words = document.getElementById("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (name, value) => wanted[name] === ALL || wanted[name] === value;
  const asked = words.length > 0 || Object.values(wanted).some((value) => value !== ALL);
  for (const section of sections) {
    section.fitting = 0;
    for (const line of section.lines) {
      const row = section.rows[line.dataset.row];
      line.hidden = !OF_ROWS.every((name) => fits(name, row[name])) || !words.every((word) => section.texts[line.dataset.row].includes(word));
      section.fitting += !line.hidden;
    }
    section.node.hidden = !section.fitting || !fits("dataset", section.dataset) || !fits("protocol", section.protocol);
    if (section.published) section.node.open = asked;
  }
  const any = (published) => sections.some((section) => section.published === published && !section.node.hidden);
  document.getElementById("notes").hidden = !any(false);
  document.getElementById("papers").hidden = !any(true);
  counted();
}

// Rows that are seen; those of closed tables are told apart from them.
function counted() {
  const rows = (closed) => sections.filter(({ node }) => !node.hidden && (node.open === false) === closed).reduce((sum, section) => sum + section.fitting, 0);
  const [seen, closed] = [rows(false), rows(true)];
  fill("shown", `${count(seen)} row${seen === 1 ? "" : "s"}${closed ? `, ${count(closed)} more in closed tables` : ""}`);
}

const selects = FILTERS.map(([name, title]) => {
  const known = [...new Set(data.sections.flatMap((section) => values(section, name)))].filter(Boolean).sort();
  const options = [[ALL, "all"], ...known.map((value) => [value, value])].map(([value, text]) => make("option", { value }, text));
  return make("label", {}, title, make("select", { id: `filter-${name}`, change: narrow }, ...options));
});
fill("filters", make("label", {}, "Find", make("input", { id: "search", type: "search", input: narrow, placeholder: "method, settings, paper" })), ...selects, make("span", { id: "shown", class: "muted", role: "status" }));
for (const [id, published] of [["measured", false], ["published", true]]) fill(id, ...sections.filter((section) => section.published === published).map(({ node }) => node));
fill("reading", ...data.reading.map((text) => make("p", {}, text)));
fill("footnotes", ...data.footnotes.map(([letter, text]) => make("div", { id: `note-${letter}` }, make("dt", {}, letter), make("dd", {}, isolated(text)))));
narrow();
document.body.dataset.ready = "true";
