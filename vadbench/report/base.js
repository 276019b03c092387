// What every page of ours uses. Names and notes come from anywhere: they become text nodes and are never parsed.

const data = JSON.parse(document.getElementById("data").textContent);

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

// A name may run from right to left; what stands beside it must not.
const isolated = (text) => make("bdi", {}, String(text));
const percent = (value, digits = 2) => (value === null || value === undefined ? "–" : (100 * value).toFixed(digits));
const count = (value) => value.toLocaleString("en");
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const fill = (id, ...children) => document.getElementById(id).replaceChildren(...children.filter((child) => child !== null));

// One bubble for all explanations, shown while the pointer or the focus is on what it explains.
const tip = make("div", { id: "tip", role: "tooltip", hidden: true });
document.body.append(tip);

function explained(node, text) {
  const show = () => {
    tip.textContent = text;
    tip.hidden = false;
    const around = node.getBoundingClientRect();
    const own = tip.getBoundingClientRect();
    const below = around.bottom + 6 + own.height <= innerHeight;
    tip.style.left = `${Math.max(8, Math.min(around.left, document.documentElement.clientWidth - own.width - 8))}px`;
    tip.style.top = `${below ? around.bottom + 6 : Math.max(8, around.top - own.height - 6)}px`;
  };
  const hide = () => (tip.hidden = true);
  node.setAttribute("aria-describedby", "tip");
  node.dataset.explained = "";
  for (const event of ["pointerenter", "focus"]) node.addEventListener(event, show);
  for (const event of ["pointerleave", "blur"]) node.addEventListener(event, hide);
  return node;
}
addEventListener("keydown", (event) => {
  if (event.key === "Escape") tip.hidden = true;
});

// columns: [{title, explanation, number, better, heading, sortable, keep, first, below}], the heading that of the rows, else the first; rows: [{cells: [{content, value, class}], ...}]. A click on a heading sorts
// by the cells' values, numbers from the highest first; cells without a value always come last. The rows of apart, {heading, rows}, stay below the others.
// On a narrow screen a table whose columns say which are the first shows its headings, the columns to keep and two of the others, which a control chooses; any other table scrolls.
function sortableTable(columns, rows, attributes = {}, apart = null) {
  const body = make("tbody");
  const heading = Math.max(0, columns.findIndex((column) => column.heading));
  const tableRow = (row) => {
    const cells = row.cells.map((cell, i) =>
      make(i === heading ? "th" : "td", { class: cellClass(columns[i], cell), scope: i === heading && "row" }, ...[cell.content].flat()),
    );
    return make("tr", row.attributes ?? {}, ...cells);
  };
  const lines = rows.map((row) => {
    const node = tableRow(row);
    body.append(node);
    return { node, values: row.cells.map((cell) => cell.value ?? null) };
  });
  const title = apart && make("tr", {}, make("th", { scope: "rowgroup", colspan: columns.length }, apart.heading));
  const others = apart ? apart.rows.map(tableRow) : [];
  const below = apart && make("tbody", { class: "apart" }, title, ...others);
  const heads = columns.map((column, i) => {
    const head = make("th", { scope: "col", class: column.number ? "number" : null });
    const button = make("button", { type: "button", click: () => sort(i) }, column.title);
    if (column.explanation) explained(button, column.explanation);
    head.append(column.sortable === false ? column.title : button, ...(column.below ? [column.below] : []));
    return head;
  });
  function sort(i) {
    const was = heads[i].getAttribute("aria-sort");
    const natural = columns[i].number && columns[i].better !== "lower" ? "descending" : "ascending";
    const other = natural === "ascending" ? "descending" : "ascending";
    const order = was === natural ? other : natural;
    for (const head of heads) head.removeAttribute("aria-sort");
    heads[i].setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    lines.sort((a, b) => {
      const [x, y] = [a.values[i], b.values[i]];
      if (x === null || y === null) return (x === null) - (y === null);
      return sign * (columns[i].number ? x - y : String(x).localeCompare(String(y), "en", { numeric: true }));
    });
    body.append(...lines.map((line) => line.node));
  }
  const head = make("tr", {}, ...heads);
  const table = make("table", attributes, make("thead", {}, head), body, below);
  const chooser = columnChooser(columns, heading, [head, ...lines.map((line) => line.node), ...others]);
  return make("div", {}, chooser, ...scrolling(table, attributes["aria-label"]));
}

// Two lists of the columns that a narrow screen has no room for together; null where no column is marked as one of the first.
function columnChooser(columns, heading, rows) {
  const open = [...columns.keys()].filter((i) => i !== heading && !columns[i].keep);
  const chosen = open.filter((i) => columns[i].first);
  if (!chosen.length || open.length <= chosen.length) return null;
  const show = () => {
    for (const row of rows) for (const i of open) row.children[i].classList.toggle("aside", !chosen.includes(i));
    selects.forEach((select, k) => (select.value = chosen[k]));
  };
  const choose = (k, i) => {
    const other = chosen.indexOf(i);
    // The two lists never show the same column: they exchange theirs.
    if (other >= 0) chosen[other] = chosen[k];
    chosen[k] = i;
    show();
  };
  const selects = chosen.map((_, k) =>
    make("select", { "aria-label": `Column ${k + 1}`, change: (event) => choose(k, Number(event.target.value)) },
      ...open.map((i) => make("option", { value: i }, columns[i].title))));
  show();
  return make("div", { class: "bar chooser" }, make("span", { class: "muted" }, "Columns"), ...selects);
}

// A table that may be wider than the page: where it is, a line says so, and the edge that hides columns fades.
function scrolling(table, name) {
  const hint = make("p", { class: "hint", hidden: true }, "\u2194 More columns: scroll the table sideways.");
  // Reachable by keyboard, for what is wider than the screen.
  const scroller = make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": name }, table);
  const look = () => {
    const hidden = scroller.scrollWidth - scroller.clientWidth;
    const edges = [scroller.scrollLeft > 1 && "left", scroller.scrollLeft < hidden - 1 && "right"].filter(Boolean);
    scroller.dataset.more = edges.join(" ");
    hint.hidden = hidden <= 1;
  };
  scroller.addEventListener("scroll", look, { passive: true });
  const sizes = new ResizeObserver(look);
  for (const node of [scroller, table]) sizes.observe(node);
  return [hint, scroller];
}

const cellClass = (column, cell) => [column.number ? "number" : "", cell.class ?? ""].join(" ").trim() || null;
