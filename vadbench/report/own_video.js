// The page of one scored video of a user: its curve, its events, how it was scored. Places in the video are in hundredths of a second.

const HUNDREDTHS = 100;
const [scored] = data.runs;

function clock(seconds) {
  const tenths = Math.round(seconds * 10);
  const two = (value) => String(value).padStart(2, "0");
  const [hours, minutes, rest] = [Math.floor(tenths / 36000), Math.floor(tenths / 600) % 60, tenths % 600];
  return `${hours ? `${hours}:${two(minutes)}` : minutes}:${two(Math.floor(rest / 10))}.${rest % 10}`;
}

Object.assign(viewer, {
  about: () => [data.about],
  place: (hundredths) => clock(hundredths / HUNDREDTHS),
  moment: (place, inside, shaded) => [place, shaded ? "event" : "no event", inside.map(([label]) => label).join(", ")],
});

const axesOfScores = viewer.axes;
viewer.axes = function (pen, plot, range, at) {
  axesOfScores.call(this, pen, plot, range, at);
  const height = (score) => Math.round(plot.y + plot.height * (1 - (score - range[0]) / (range[1] - range[0]))) + 0.5;
  const line = (score, dashes) => {
    if (score < range[0] || score > range[1]) return;
    pen.setLineDash(dashes);
    pen.beginPath();
    pen.moveTo(plot.x, height(score));
    pen.lineTo(plot.x + plot.width, height(score));
    pen.stroke();
  };
  pen.strokeStyle = color("--truth-ink");
  pen.lineWidth = 1;
  line(data.threshold.value, [6, 4]);
  if (data.threshold.low < data.threshold.value) line(data.threshold.low, [2, 4]);
  pen.setLineDash([]);
};

function controls() {
  const button = (text, action, label) => make("button", { type: "button", click: action, "aria-label": label }, text);
  viewer.fitted = data.fitted;
  const fit = make("input", { type: "checkbox", checked: data.fitted, change: (event) => { viewer.fitted = event.target.checked; viewer.later(); } });
  fill("video-controls", button("+", () => viewer.zoom(0.5), "zoom in"), button("−", () => viewer.zoom(2), "zoom out"), button("all", () => viewer.show(0, Infinity), "show the entire video"), make("label", {}, fit, "fit height"),
    make("span", { class: "muted" }, `dashed: events begin at ${tick(data.threshold.value)}; dotted: they end below ${tick(data.threshold.low)}`));
  const joined = scored.spread ? ` A point stands for ${tick(scored.stride / HUNDREDTHS)} s: its highest and its lowest score, and the highest probability of each class.` : "";
  const left = data.classesLeftOut ? ` ${count(data.classesLeftOut)} classes with lower probabilities are only in scores.csv.` : "";
  fill("curve-help", `Move the pointer over the curve, or focus it and use the arrow keys (with Shift ten steps). Drag or press + and − to zoom, 0 to see all. With “fit height” the axis goes from the lowest to the highest score shown, and a threshold outside of them is not drawn.${joined}${left}`);
}

function events() {
  if (!data.events.length) {
    fill("events", make("p", {}, data.none));
    return;
  }
  // A click shows an event with as much before and behind it.
  const open = (event) => {
    const [from, to] = [event.start * HUNDREDTHS, event.end * HUNDREDTHS];
    viewer.show(from - (to - from), to + (to - from));
    viewer.move(event.peakTime * HUNDREDTHS);
    document.querySelector(".viewer").scrollIntoView({ block: "nearest" });
  };
  const pictured = data.events.some((event) => event.picture);
  const named = data.events.some((event) => event.label || event.remarks.length);
  const columns = [{ title: "start", number: true, better: "lower" }, { title: "end", number: true, better: "lower" }, { title: "peak", number: true }, ...(named ? [{ title: "class" }] : []), ...(pictured ? [{ title: "frame", explanation: "That of the highest score.", sortable: false }] : [])];
  const rows = data.events.map((event) => {
    const what = [event.label ? isolated(event.label) : "", ...event.remarks.map((text) => make("div", { class: "muted" }, make("small", {}, isolated(text))))];
    const picture = event.picture ? make("img", { src: event.picture, alt: `Frame at ${clock(event.peakTime)}` }) : "";
    return {
      cells: [
        { content: make("button", { type: "button", class: "link", click: () => open(event) }, clock(event.start)), value: event.start },
        { content: clock(event.end), value: event.end },
        { content: [scoreText(event.peak, event.peak.toFixed(3)), make("br"), make("small", {}, `at ${clock(event.peakTime)}`)], value: event.peak },
        ...(named ? [{ content: what, value: event.label, class: "event" }] : []),
        ...(pictured ? [{ content: picture }] : []),
      ],
    };
  });
  fill("events", sortableTable(columns, rows, { "aria-label": "Events", class: "events" }), data.more ? make("p", {}, `${count(data.more)} more in events.csv.`) : null);
}

fill("facts", ...data.facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, isolated(value))]));
fill("notes", ...data.notes.map((note) => make("p", {}, isolated(note))));
events();
if (scored) {
  controls();
  viewer.open(0);
} else {
  // There is nothing to draw.
  viewer.later = () => {};
  fill("video-name", isolated(data.videos[0].name));
  fill("video-about", data.about);
  document.querySelector(".viewer").hidden = true;
}
document.body.dataset.ready = "true";
