// Whether a score finds the place of an anomaly: the AUC and its parts beside scores that look at no frame, and operating points.

const DOTS = { left: 92, right: 14, lane: 13, gap: 9, below: 34 };

// Blind scores, each with a shape that can be told from the others even where they lie over each other: with the knowledge of which videos are abnormal in the lower of two lanes.
const BLIND = {
  "blind-length": { lane: 0, path: "M-4 -4L4 4M-4 4L4 -4", text: "minus the number of frames of the video" },
  "blind-centre": { lane: 0, path: "M0 -6L6 0L0 6L-6 0Z", text: "the nearness of a frame to the middle of its video" },
  "blind-oracle-label": { lane: 1, path: "M-5 -5H5V5H-5Z", text: "1 in abnormal videos, 0 in normal ones" },
  "blind-oracle-centre": { lane: 1, path: "M0 -6L6 0L0 6L-6 0Z", filled: true, text: "the nearness to the middle in abnormal videos, 0 in normal ones" },
};

function blindMark(name, x, y) {
  const { path, filled } = BLIND[name];
  return shape("path", { d: path, class: filled ? "blind filled" : "blind", transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`, "data-blind": name });
}

const blindSwatch = (name) => shape("svg", { viewBox: "-13 -7 26 14", class: "swatch tall", "aria-hidden": "true" }, blindMark(name, 0, 0));

const rounded = (value) => count(Number(value.toPrecision(3)));

// A metric in the unit of its definition, with its interval; why it is missing, under the pointer or the focus.
function measured(value, metric, digits = 1) {
  const inUnit = (v) => (metric.unit === "%" ? percent(v, digits) : v === null || v === undefined ? "–" : metric.unit ? rounded(v) : count(v));
  const shown = make("span", {}, inUnit(value?.value));
  const range = value?.low == null ? "" : `[${inUnit(value.low)}, ${inUnit(value.high)}]`;
  return { shown: value?.reason ? explainedText(shown, value.reason) : shown, range, text: [inUnit(value?.value), range].filter(Boolean).join(" ") };
}

const metricCell = (value, metric, ...more) => {
  const { shown, range } = measured(value, metric);
  return { content: [shown, make("br"), make("small", {}, range), ...more], value: value?.value };
};

const runCell = (run, i) => ({ content: [swatch(i), " ", isolated(run.label)], value: run.label, class: "name" });

function place() {
  const { metrics, blind, pairShare } = data.place;
  if (!data.runs[0].operating) {
    fill("place", make("p", {}, "The test split has frames of one kind only: there is no place to find."));
    return;
  }
  const columns = [{ title: "score" }, ...metrics.map((metric, j) => ({ title: metric.title, explanation: metric.text, number: true, better: metric.better, first: j < 2 }))];
  const rows = data.runs.map((run, i) => ({ cells: [runCell(run, i), ...run.place.map((value, j) => metricCell(value, metrics[j]))] }));
  // Without values to sort by, blind scores stay below the runs.
  const below = blind.map(({ name, values }) => ({
    attributes: { class: "muted" },
    cells: [{ content: make("span", { class: "short" }, blindSwatch(name), " ", name), class: "name" }, ...values.map((value, j) => ({ content: measured(value, metrics[j]).shown }))],
  }));
  const share = pairShare === null ? "" : ` Only ${percent(pairShare, Number(percent(pairShare, 1)) < 1 ? 3 : 1)} % of the pairs that AUC counts lie in one video; the others ask which video is abnormal.`;
  fill("place",
    make("p", {}, `AUC within asks whether a score is higher at the anomaly than elsewhere in the same video; AUC flattened is what remains of AUC when each video has its mean score throughout.${share} The marks are scores that look at no frame: a run that is not above them has not shown that it looks.`),
    ...said((run) => run.unplaced),
    older((run) => run.place.slice(1).every((value) => value === null)),
    make("div", { class: "chart-and-table" },
      make("figure", {}, dots(metrics, blind), make("figcaption", {}, "Dots with their 95 % intervals: the runs. Dashed: chance.")),
      make("div", {}, sortableTable(columns, [...rows, ...below], { class: "wrapped", "aria-label": "AUC and its parts" }), make("p", { class: "muted" }, make("small", {}, `In percent; in brackets the 95 % interval. ${blind.map(({ name }) => `${name}: ${BLIND[name].text}`).join("; ")}.`)))));
}

// A dot with its interval for each run and metric, and marks of blind scores in two lanes below them.
function dots(metrics, blind) {
  const tall = DOTS.lane * (data.runs.length + 2) + DOTS.gap;
  const bottom = tall * metrics.length;
  const at = (v) => DOTS.left + v * (WIDTH - DOTS.left - DOTS.right);
  const node = shape("svg", { viewBox: `0 0 ${WIDTH} ${bottom + DOTS.below}`, role: "img", "aria-label": `AUC and its parts; ${data.runs.map((run) => `${run.label}: ${metrics.map((metric, j) => `${metric.title} ${percent(run.place[j]?.value, 1)} %`).join(", ")}`).join("; ")}` });
  for (let j = 1; j < metrics.length; j += 2) node.append(shape("rect", { class: "band", x: 0, y: tall * j, width: WIDTH, height: tall }));
  for (const part of [0, 0.25, 0.5, 0.75, 1]) {
    node.append(
      shape("line", { class: part === 0.5 ? "guide" : "axis", x1: at(part), x2: at(part), y1: 0, y2: bottom }),
      shape("text", { x: at(part), y: bottom + 14, "text-anchor": "middle" }, tick(100 * part)));
  }
  node.append(shape("text", { x: (DOTS.left + WIDTH - DOTS.right) / 2, y: bottom + 29, "text-anchor": "middle" }, "percent"));
  metrics.forEach((metric, j) => {
    node.append(shape("text", { x: DOTS.left - 8, y: tall * (j + 0.5) + 4, "text-anchor": "end" }, metric.title));
    const lane = (i) => tall * j + DOTS.gap / 2 + DOTS.lane * (i + 0.5);
    data.runs.forEach((run, i) => {
      const value = run.place[j];
      if (value?.value == null) return;
      node.append(explained(shape("g", { "data-run": i, "data-metric": metric.key, "data-value": value.value }, ...whisker(value, at, lane(i), i)), `${run.label}: ${metric.title} ${measured(value, metric).text} %`));
    });
    for (const { name, values } of blind) {
      if (values[j]?.value == null) continue;
      node.append(explained(blindMark(name, at(values[j].value), lane(data.runs.length + BLIND[name].lane)), `${name}, ${BLIND[name].text}: ${metric.title} ${measured(values[j], metric).text} %`));
    }
  });
  return node;
}

// What must be known of single runs before their figures are read.
const said = (of) => data.runs.filter((run) => of(run).length).map((run) => make("p", { class: "warning" }, make("strong", {}, isolated(run.label)), `: ${of(run).join("; ")}.`));

// How runs that were measured before a metric was there get it.
function older(lacks) {
  const runs = data.runs.filter(lacks);
  if (!runs.length) return null;
  const which = several ? ["Measured before these metrics were there: ", isolated(runs.map((run) => run.label).join(", ")), ". "] : ["This run was measured before these metrics were there. "];
  return make("p", { class: "muted" }, ...which, make("code", {}, "vadbench rescore"), " adds them from the saved scores.");
}

function operating() {
  const { rates, recalls, alarms } = data.place;
  if (!data.runs[0].operating) {
    fill("operating", make("p", {}, "The test split has frames of one kind only: there is nothing to find, or nothing to be wrong about."));
    return;
  }
  const percents = { x: logarithmic(0.1, 100, [0.1, ...rates.map((rate) => 100 * rate), 10, 100]), y: linear(0, 100) };
  const marks = (scale) => [
    ...rates.map((rate) => shape("line", { class: "axis", x1: scale.x(100 * rate), x2: scale.x(100 * rate), y1: scale.y(0), y2: scale.y(100) })),
    shape("path", { class: "guide", d: "M" + [...Array(31).keys()].map((i) => 10 ** (i / 10 - 1)).map((v) => `${scale.x(v).toFixed(1)} ${scale.y(v).toFixed(1)}`).join("L") }),
    ...data.runs.map((run, i) => curve(stairs(run.operating.curve.map((axis) => axis.map((v) => 100 * v)), scale), i)),
    ...data.runs.flatMap((run, i) => run.operating.recalls.map((value, k) => operatingPoint(run, i, k, value, scale))),
  ];
  const words = data.runs.map((run) => `${run.label} ${run.operating.recalls.map((value, k) => `${percent(value.value, 1)} % at ${percent(rates[k], 0)} %`).join(", ")}`).join("; ");
  const columns = [{ title: "run" }, ...recalls.map((metric, k) => ({ title: `at ${percent(rates[k], 0)} %`, explanation: metric.text, number: true, first: k < 2 })),
    ...alarms.map((metric) => ({ title: metric.title, explanation: metric.text, number: true, better: metric.better }))];
  const rows = data.runs.map((run, i) => ({
    cells: [runCell(run, i),
      ...run.operating.recalls.map((value, k) => metricCell(value, recalls[k], ...hourly(run.operating.falseFrames[k]))),
      ...run.operating.alarms.map((value, k) => metricCell(value, alarms[k]))],
  }));
  fill("operating",
    ...said((run) => (run.coarse ? [run.coarse] : [])),
    older((run) => run.operating.alarms.every((value) => value === null)),
    make("div", { class: "chart-and-table" },
      make("figure", {}, chart(`Recall over the false-positive rate on a logarithmic axis; ${words}`, percents, { x: "false-positive rate (%)", y: "recall (%)" }, marks),
        make("figcaption", {}, "Circles: the largest recall at 1, 2, 3 and 5 % false positives. Dashed: chance.")),
      make("div", {}, sortableTable(columns, rows, { class: "wrapped", "aria-label": "Operating points" }),
        make("p", { class: "muted" }, make("small", {}, "Recall, in percent of the anomalous frames, at most so many percent of the normal frames being called anomalous; in brackets the 95 % interval. Below it, where the frame rate of the normal videos is known, the false frames in an hour of normal video.")))));
}

const hourly = (value) => (value?.value == null ? [] : [make("br"), make("small", { class: "hourly" }, `${rounded(value.value)} /h`)]);

function operatingPoint(run, i, k, value, scale) {
  const rate = 100 * data.place.rates[k];
  const dot = shape("circle", { class: "ring", cx: scale.x(rate), cy: scale.y(100 * value.value), r: 4, "data-run": i, "data-rate": rate, "data-value": value.value });
  dot.style.stroke = seriesColor(i);
  const alarms = run.operating.falseFrames[k]?.value;
  const words = [`${run.label}: recall ${measured(value, data.place.recalls[k]).text} % at ${tick(rate)} % false positives`];
  if (alarms !== null && alarms !== undefined) words.push(`${rounded(alarms)} false frames per hour of normal video`);
  if (value.reason) words.push(value.reason);
  explained(dot, words.join("; "));
  // With several runs the figures would lie over each other; the table has them.
  const label = several ? [] : [shape("text", { x: scale.x(rate) - 5, y: scale.y(100 * value.value) - 7, "text-anchor": "end" }, percent(value.value, 0))];
  return shape("g", {}, ...label, dot);
}

// A recall holds from its false-positive rate on, until the next one is reached.
const stairs = ([xs, ys], scale) =>
  xs.map((x, i) => (i ? `H${scale.x(x).toFixed(1)}V${scale.y(ys[i]).toFixed(1)}` : `M${scale.x(x).toFixed(1)} ${scale.y(ys[i]).toFixed(1)}`)).join("");
