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

const tick = (value) => String(Number(value.toPrecision(3)));

function curve(path, i) {
  const node = shape("path", { d: path, class: "curve", "stroke-dasharray": seriesDash(i) });
  node.style.stroke = seriesColor(i);
  return node;
}

const line = ([xs, ys], scale) => "M" + xs.map((x, i) => `${scale.x(x).toFixed(1)} ${scale.y(ys[i]).toFixed(1)}`).join("L");

// As average precision is defined: a straight line between points would overstate it.
const steps = ([xs, ys], scale) =>
  xs.map((x, i) => (i ? `V${scale.y(ys[i]).toFixed(1)}H${scale.x(x).toFixed(1)}` : `M${scale.x(x).toFixed(1)} ${scale.y(ys[i]).toFixed(1)}`)).join("");

function legend(entries) {
  return make("ul", { class: "legend" }, ...entries.map(([i, ...content]) => make("li", {}, swatch(i), ...content)));
}
