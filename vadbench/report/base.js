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

// columns: [{title, explanation, number, better, heading, sortable}], the heading that of the rows, else the first; rows: [{cells: [{content, value, class}], ...}]. A click on a heading sorts
// by the cells' values, numbers from the highest first; cells without a value always come last. The rows of apart, {heading, rows}, stay below the others.
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
  const below = apart && make("tbody", { class: "apart" }, title, ...apart.rows.map(tableRow));
  const heads = columns.map((column, i) => {
    const head = make("th", { scope: "col", class: column.number ? "number" : null });
    const button = make("button", { type: "button", click: () => sort(i) }, column.title);
    if (column.explanation) explained(button, column.explanation);
    head.append(column.sortable === false ? column.title : button);
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
  const head = make("thead", {}, make("tr", {}, ...heads));
  // Reachable by keyboard, for what is wider than the screen.
  return make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": attributes["aria-label"] }, make("table", attributes, head, body, below));
}

const cellClass = (column, cell) => [column.number ? "number" : "", cell.class ?? ""].join(" ").trim() || null;
