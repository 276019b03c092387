// Charts of a few curves as SVG.

const SERIES = 6;
const DASHES = ["", "7 3", "2 2"];
// The colour and the dashes of a run by its number; a colour of our own by its name.
const seriesColor = (i) => (typeof i === "string" ? `var(${i})` : `var(--series-${i % SERIES})`);
const seriesDash = (i) => (typeof i === "string" ? "" : DASHES[Math.floor(i / SERIES) % DASHES.length]);

function shape(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function swatch(i) {
  const line = shape("line", { x1: 0, y1: 4, x2: 26, y2: 4, "stroke-width": 3, "stroke-dasharray": seriesDash(i) });
  line.style.stroke = seriesColor(i);
  return shape("svg", { viewBox: "0 0 26 8", class: "swatch", "aria-hidden": "true" }, line);
}

const WIDTH = 360;
const HEIGHT = 270;
const EDGES = { left: 50, right: 8, top: 8, bottom: 38 };

// An axis: where a value stands between its ends, from 0 to 1, and the values at its ticks.
const linear = (low, high) => ({ part: (v) => (v - low) / (high - low), ticks: [0, 0.25, 0.5, 0.75, 1].map((part) => low + part * (high - low)) });
const logarithmic = (low, high, ticks) => ({ part: (v) => Math.log(v / low) / Math.log(high / low), ticks });

// axes: {x, y}; marks: SVG made with the two scales.
function chart(name, axes, names, marks) {
  const scale = {
    x: (v) => EDGES.left + axes.x.part(v) * (WIDTH - EDGES.left - EDGES.right),
    y: (v) => HEIGHT - EDGES.bottom - axes.y.part(v) * (HEIGHT - EDGES.top - EDGES.bottom),
  };
  const node = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": name });
  for (const y of axes.y.ticks) {
    node.append(
      shape("line", { class: "axis", x1: EDGES.left, x2: WIDTH - EDGES.right, y1: scale.y(y), y2: scale.y(y) }),
      shape("text", { x: EDGES.left - 6, y: scale.y(y) + 4, "text-anchor": "end" }, tick(y)),
    );
  }
  node.append(...axes.x.ticks.map((x) => shape("text", { x: scale.x(x), y: HEIGHT - EDGES.bottom + 15, "text-anchor": "middle" }, tick(x))));
  node.append(
    shape("text", { x: (EDGES.left + WIDTH - EDGES.right) / 2, y: HEIGHT - 4, "text-anchor": "middle" }, names.x),
    shape("text", { x: 11, y: (HEIGHT - EDGES.bottom) / 2, "text-anchor": "middle", transform: `rotate(-90 11 ${(HEIGHT - EDGES.bottom) / 2})` }, names.y),
    ...marks(scale),
  );
  return node;
}

// A score a little below 1, whose usual text would be that of 1, as its distance from it: score_text() of vadbench/base/text.py.
function scoreText(value, usual) {
  const below = 1 - value;
  if (below <= 1e-12 || below >= 1e-3) return usual;
  // As Python writes it, with an exponent of two digits from 0.00009 down.
  const digits = Number(below.toPrecision(2));
  return `1 - ${digits < 1e-4 ? digits.toExponential().replace(/e-(\d)$/, "e-0$1") : digits}`;
}

const tick = (value) => scoreText(value, String(Number(value.toPrecision(3))));

function curve(path, i) {
  const node = shape("path", { d: path, class: "curve", "stroke-dasharray": seriesDash(i) });
  node.style.stroke = seriesColor(i);
  return node;
}

const line = ([xs, ys], scale) => "M" + xs.map((x, i) => `${scale.x(x).toFixed(1)} ${scale.y(ys[i]).toFixed(1)}`).join("L");

// As average precision is defined: a straight line between points would overstate it.
const steps = ([xs, ys], scale) =>
  xs.map((x, i) => (i ? `V${scale.y(ys[i]).toFixed(1)}H${scale.x(x).toFixed(1)}` : `M${scale.x(x).toFixed(1)} ${scale.y(ys[i]).toFixed(1)}`)).join("");

// A dot with its interval, if it has one. Where a value stands is said by a function of it, such as a share of the width: "25%".
function whisker({ value, low, high }, at, y, i) {
  const dot = shape("circle", { class: "dot", cx: at(value), cy: y, r: 4 });
  const range = low === null || low === undefined ? [] : [shape("line", { class: "bar", x1: at(low), x2: at(high), y1: y, y2: y })];
  for (const part of [...range, dot]) part.style.fill = part.style.stroke = seriesColor(i);
  return [...range, dot];
}

// An axis along the width of a column of a table, for fractions: from a start, or from the tens below the lowest value if that is less and the start is dashed, to 1.
function columnAxis(start, values) {
  const lowest = Math.min(start, ...values.flatMap((v) => (v?.value == null ? [] : [v.value, v.low ?? v.value])));
  const low = Math.max(0, Math.floor(10 * lowest + 1e-9) / 10);
  const at = (value) => `${((100 * (value - low)) / (1 - low)).toFixed(2)}%`;
  const ticks = [low, (low + 1) / 2, 1];
  const upright = (value, kind) => shape("line", { class: kind, x1: at(value), x2: at(value), y1: 0, y2: "100%" });
  const lines = () => [...ticks.map((value) => upright(value, "axis")), ...(low < start ? [upright(start, "guide")] : [])];
  const row = (value, i) => shape("svg", { class: "whiskers", "aria-hidden": "true" }, ...lines(), ...(value?.value == null ? [] : whisker(value, at, "50%", i)));
  const labels = () => shape("svg", { class: "whiskers", "aria-hidden": "true" }, ...ticks.map((value, i) => shape("text", { x: at(value), y: "75%", "text-anchor": ["start", "middle", "end"][i] }, tick(100 * value))));
  return { row, labels };
}

function legend(entries) {
  return make("ul", { class: "legend" }, ...entries.map(([i, ...content]) => make("li", {}, swatch(i), ...content)));
}
