// The leaderboards of all groups, to be sorted by any column and narrowed down.

// No data set, protocol or backbone is called so, whatever else they are called.
const ALL = "";
const SHORT = 24;
const FILTERS = [["dataset", "data set"], ["protocol", "protocol"], ["backbone", "backbone"]];
const values = (section, name) => (name === "backbone" ? section.rows.map((row) => row.backbone) : [section[name]]);

function cell({ text, interval = "", emphasis = "", tied = false, marks = [], value, explanation, star }) {
  const shown = make("span", { class: emphasis || null }, isolated(text));
  if (explanation) {
    shown.tabIndex = 0;
    explained(shown, explanation);
  }
  const content = [shown, tied ? " ≈" : null, marks.length ? make("sup", {}, marks.join(",")) : null];
  if (interval) content.push(make("br"), make("small", {}, interval));
  // Where some figures of a column have a star, the others leave room for it.
  if (star !== undefined) content.push(make("span", { class: "star" }, star ? "*" : ""));
  return { content: content.filter((part) => part !== null), value, class: text.length < SHORT ? "short" : null };
}

const sections = data.sections.map((section) => {
  const rows = section.rows.map((row) => ({ cells: row.cells.map(cell), attributes: { "data-backbone": row.backbone } }));
  const apart = section.apart && { heading: section.apart.heading, rows: section.apart.rows.map((cells) => ({ cells: cells.map(cell) })) };
  const notes = [...section.below, ...section.footnotes.map(([letter, text]) => `${letter}: ${text}`)];
  const kind = section.published ? "published" : "reproduced";
  const heading = make("h2", {}, isolated(section.title), " ", make("span", { class: "tag" }, kind));
  const content = [
    make("p", { class: "muted" }, isolated(section.note)),
    sortableTable(section.columns, rows, { "aria-label": section.title }, apart),
    make("div", { class: "notes" }, ...notes.map((note) => make("p", {}, isolated(note)))),
  ];
  // Papers state hundreds of figures: closed until they are asked for.
  const node = section.published
    ? make("details", { class: kind }, make("summary", {}, heading), ...content)
    : make("section", { class: kind }, heading, ...content);
  return { ...section, node };
});

function narrow() {
  const wanted = Object.fromEntries(FILTERS.map(([name]) => [name, document.getElementById(`filter-${name}`).value]));
  const fits = (name, value) => wanted[name] === ALL || wanted[name] === value;
  let shown = 0;
  for (const section of sections) {
    let rows = 0;
    for (const row of section.node.querySelectorAll("tbody:not(.apart) tr")) {
      row.hidden = !fits("backbone", row.dataset.backbone);
      rows += !row.hidden;
    }
    section.node.hidden = !rows || !fits("dataset", section.dataset) || !fits("protocol", section.protocol);
    shown += section.node.hidden ? 0 : rows;
    if (section.published) section.node.open = Object.values(wanted).some((value) => value !== ALL);
  }
  fill("shown", `${count(shown)} rows`);
}

const selects = FILTERS.map(([name, title]) => {
  const known = [...new Set(data.sections.flatMap((section) => values(section, name)))].filter(Boolean).sort();
  const options = [[ALL, "all"], ...known.map((value) => [value, value])].map(([value, text]) => make("option", { value }, text));
  return make("label", {}, title, make("select", { id: `filter-${name}`, change: narrow }, ...options));
});
fill("filters", ...selects, make("span", { id: "shown", class: "muted", role: "status" }));
fill("sections", ...sections.map((section) => section.node));
narrow();
document.body.dataset.ready = "true";
