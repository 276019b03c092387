// The page of one or several runs on one data set.

const several = data.runs.length > 1;
const interval = (value, digits = 1) => (value?.low == null ? "" : ` [${percent(value.low, digits)}, ${percent(value.high, digits)}]`);
// AUC marks start here, or lower where the data are.
const CHANCE = 0.5;
const runLegend = () => (several ? legend(data.runs.map((run, i) => [i, isolated(run.label)])) : null);
let chosen = 0;

function header() {
  const { split } = data;
  fill("title", several ? `${data.runs.length} runs on ` : isolated(data.runs[0].label), several ? "" : " on ", isolated(data.dataset));
  fill("subtitle", `${count(split.videos)} test videos, ${count(split.abnormal)} of them abnormal; ${count(split.frames)} frames, ${percent(split.prevalence)} % of them anomalous`);
  const paid = data.runs.filter((run) => run.costs);
  fill("costs", ...paid.map((run) => make("p", { class: "muted" }, "Costs", ...(several ? [" of ", isolated(run.label)] : []), `: ${run.costs}`)));
}

function figures() {
  const columns = [{ title: "run" }, ...data.metrics.map((metric, j) => ({ title: metric.title, explanation: metric.text, number: true, better: metric.better, first: j < 2 }))];
  const rows = data.runs.map((run, i) => ({
    cells: [
      { content: [swatch(i), " ", isolated(run.label)], value: run.label, class: "name" },
      ...data.metrics.map((metric) => {
        const value = run.metrics[metric.key];
        const { emphasis, tied } = run.standing[metric.key] ?? {};
        const shown = make("span", { class: emphasis || null }, percent(value?.value));
        const raw = run.unprocessed[metric.key];
        const without = raw == null ? [] : [make("br"), make("small", { class: "without" }, `${percent(raw)} without post-processing`)];
        return { content: [value?.value == null && value?.reason ? explainedText(shown, value.reason) : shown, tied ? " ≈" : "", make("br"), make("small", {}, interval(value)), ...without], value: value?.value };
      }),
    ],
  }));
  const ranking = data.ranking && [data.ranking.legend, ...data.ranking.notes.map((note) => `${note}.`)].join(" ");
  const note = make("p", { class: "muted" }, make("small", {}, "In percent; in brackets the 95 % interval from resampling test videos, as far as it is defined. Headings explain themselves under the pointer or the focus, and sort. ", isolated(ranking ?? "")));
  fill("figures", sortableTable(columns, rows, { "aria-label": "Figures", class: "wrapped" }), note);
  fill("facts", ...data.runs.map((run) => {
    const facts = run.facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, isolated(value))]);
    const notes = run.notes.flatMap((note) => [make("dt", {}, "note"), make("dd", {}, isolated(note))]);
    return make("details", {}, make("summary", {}, "How ", isolated(run.label), " was made"), make("dl", { class: "facts" }, ...facts, ...notes));
  }));
}

function explainedText(node, text) {
  node.tabIndex = 0;
  return explained(node, text);
}

function ranking() {
  fill("legend", runLegend());
  const unit = { x: linear(0, 1), y: linear(0, 1) };
  const rates = { x: "false-positive rate", y: "true-positive rate" };
  const guide = (x1, y1, x2, y2) => (scale) => shape("line", { class: "guide", x1: scale.x(x1), y1: scale.y(y1), x2: scale.x(x2), y2: scale.y(y2) });
  const draw = (key, draw, guided) => (scale) => [guided(scale), ...data.runs.flatMap((run, i) => (run[key] ? [curve(draw(run[key], scale), i)] : []))];
  const figure = (title, below, node) => make("figure", {}, make("h3", {}, title), node, make("figcaption", {}, below));
  if (!data.runs[0].roc || !data.runs[0].pr) {
    fill("ranking", make("p", {}, "The test split has frames of one kind only: there is nothing to rank."));
    return;
  }
  const words = (key) => data.runs.map((run) => `${run.label} ${percent(run.metrics[key]?.value)} %`).join(", ");
  fill("ranking",
    figure("ROC", "Dashed: chance.", chart(`ROC curves; AUC of ${words("AUC")}`, unit, rates, draw("roc", line, guide(0, 0, 1, 1)))),
    figure("Precision and recall", "Dashed: prevalence, the precision of a random score.",
      chart(`Precision-recall curves; AP of ${words("AP")}`, unit, { x: "recall", y: "precision" }, draw("pr", steps, guide(0, data.split.prevalence, 1, data.split.prevalence)))));
}

function classes() {
  const names = [...new Set(data.runs.flatMap((run) => run.perClass.map(([name]) => name)))];
  if (!names.length) {
    fill("classes", make("p", {}, data.split.byClass ? "No run here gives class probabilities." : "The data set annotates no classes."));
    return;
  }
  const rest = (what) => `${what} of the class against the rest, by the class's probability; in percent, with its 95 % interval.`;
  const marks = [whiskerColumn("perClass", 1, "AUC", rest("AUC"), CHANCE), whiskerColumn("perClass", 2, "AP", rest("Average precision"), 0)];
  const rows = names.map((name) => ({ cells: [{ content: isolated(name), value: name, class: "name" }, ...marks.map((mark) => mark.cell(name))] }));
  fill("classes", runLegend(), sortableTable([{ title: "class" }, ...marks.map((mark) => mark.column)], rows, { class: "marks", "aria-label": "Classes" }));
}

function scenarios() {
  const counts = new Map(data.runs.flatMap((run) => run.scenarios.map(([name, abnormal]) => [name, abnormal])));
  if (!counts.size) return;
  document.getElementById("scenarios-section").hidden = false;
  const marks = [
    whiskerColumn("scenarios", 2, "AUC", "AUC of the abnormal videos of the scenario against all normal videos; in percent, with its 95 % interval.", CHANCE),
    whiskerColumn("scenarios", 3, "AUC/within", "AUC/within of the abnormal videos of the scenario; in percent, with its 95 % interval.", CHANCE),
  ];
  const columns = [{ title: "scenario" }, { title: "abnormal videos", number: true }, ...marks.map((mark) => ({ ...mark.column, first: true }))];
  const rows = [...counts].map(([name, abnormal]) => ({
    cells: [{ content: isolated(name), value: name, class: "name" }, { content: count(abnormal), value: abnormal }, ...marks.map((mark) => mark.cell(name))],
  }));
  fill("scenarios", runLegend(), sortableTable(columns, rows, { class: "marks", "aria-label": "Scenarios" }));
}

// A column with a dot, its interval and its figure for each run, from the entries of one name in a list that each run has.
function whiskerColumn(key, place, title, explanation, start) {
  const values = (name) => data.runs.map((run) => run[key].find(([other]) => other === name)?.[place] ?? null);
  const axis = columnAxis(start, data.runs.flatMap((run) => run[key].map((entry) => entry[place])));
  const cell = (name) => {
    const found = values(name);
    const lines = found.map((value, i) => make("div", { class: "mark" }, axis.row(value, i), make("span", {}, percent(value?.value, 1), make("small", {}, interval(value)))));
    return { content: lines, value: found[0]?.value };
  };
  return { cell, column: { title, explanation, better: "higher", number: true, below: make("div", { class: "mark" }, axis.labels()) } };
}

function distribution(run) {
  const { histogram } = run;
  const bins = histogram.normal.length;
  const most = Math.max(...histogram.normal, ...histogram.anomalous);
  const highest = [0.1, 0.2, 0.4, 0.6, 0.8].find((round) => round >= most) ?? 1;
  const edge = (i) => histogram.low + (i / bins) * (histogram.high - histogram.low);
  const outline = (shares, scale) =>
    `M${scale.x(histogram.low)} ${scale.y(0)}` + shares.map((share, i) => `V${scale.y(share).toFixed(1)}H${scale.x(edge(i + 1)).toFixed(1)}`).join("") + `V${scale.y(0)}Z`;
  const area = (shares, scale, i) => {
    const node = shape("path", { d: outline(shares, scale), class: "fill" });
    node.style.fill = node.style.stroke = seriesColor(i);
    return node;
  };
  const node = chart("Shares of normal and of anomalous frames by score", { x: linear(histogram.low, histogram.high), y: linear(0, highest) }, { x: "score", y: "share of frames" },
    (scale) => [area(histogram.normal, scale, "--accent"), area(histogram.anomalous, scale, "--truth-ink")]);
  fill("distribution", legend([["--accent", "normal frames"], ["--truth-ink", "anomalous frames"]]), node);
}

const openButton = (index) => make("button", { type: "button", class: "link", click: () => viewer.open(index, true) }, isolated(data.videos[index].name));

function extremes(run) {
  const list = (title, entries, value) =>
    entries.length ? make("div", {}, make("h4", {}, title), make("ol", {}, ...entries.map((i) => make("li", {}, openButton(i), " ", make("small", {}, value(i)))))) : null;
  const all = [...data.videos.keys()];
  const inside = all.filter((i) => run.videos[i][0] !== null).sort((a, b) => run.videos[b][0] - run.videos[a][0]);
  const normal = all.filter((i) => !data.videos[i].runs.length).sort((a, b) => run.videos[a][1] - run.videos[b][1]);
  const [some, few] = [Math.min(5, Math.floor(inside.length / 2)), Math.min(5, Math.floor(normal.length / 2))];
  const auc = (i) => `AUC ${percent(run.videos[i][0], 1)} %`;
  const mean = (i) => `mean ${run.videos[i][1]}`;
  fill("extremes",
    list("Anomaly found best", inside.slice(0, some), auc), list("Anomaly found worst", inside.slice(inside.length - some).reverse(), auc),
    list("Quietest normal", normal.slice(0, few), mean), list("Loudest normal", normal.slice(normal.length - few).reverse(), mean),
    some + few ? null : make("p", {}, "Too few videos to tell the best from the worst."));
}

function confusion(run) {
  const found = run.confusion;
  if (!found) {
    fill("confusion");
    return;
  }
  const columns = [{ title: "true class", sortable: false }, ...found.classes.map((name) => ({ title: name, number: true, sortable: false })), { title: "frames", number: true, sortable: false }];
  const rows = found.classes.map((name, i) => ({
    cells: [{ content: isolated(name) }, ...found.shares[i].map((share) => ({ content: found.frames[i] ? percent(share, 0) : "–", share })), { content: count(found.frames[i]) }],
  }));
  const table = sortableTable(columns, rows, { class: "confusion", "aria-label": "Confusion of classes" });
  table.querySelectorAll("tbody tr").forEach((line, i) => line.querySelectorAll("td").forEach((cell, j) => cell.style.setProperty("--share", found.shares[i][j] ?? 0)));
  fill("confusion", make("h3", {}, "Confusion of classes"), table,
    make("p", { class: "muted" }, make("small", {}, `Percent of each true class's frames by predicted class. Frames below ${Number(found.threshold.toPrecision(3))} count as normal: a threshold chosen on the test set itself, so this is to look at, not to rank by.`)));
}

const sparks = new Map();
const watching = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    watching.unobserve(target);
    drawSpark(target, data.runs[chosen], sparks.get(target));
  }
}, { rootMargin: "200px" });

function videoTable(run) {
  watching.disconnect();
  sparks.clear();
  const columns = [
    { title: "video" }, { title: "labels" }, { title: "frames", number: true }, { title: "anomalous", number: true, explanation: "Share of its frames that are anomalous, in percent." },
    { title: "AUC within", number: true, first: true, explanation: "AUC over the frames of this video alone, in percent; there is none where all its frames are of one kind." },
    { title: "mean", number: true, explanation: "Mean score of its frames." }, { title: "highest", number: true, explanation: "Its highest score." },
    { title: "score", sortable: false, first: true },
  ];
  const rows = data.videos.map((video, i) => {
    const [auc, mean, peak] = run.videos[i];
    const share = video.runs.reduce((sum, [start, end]) => sum + end - start, 0) / video.frames;
    const spark = make("canvas", { class: "spark", "aria-hidden": "true" });
    sparks.set(spark, i);
    const labels = video.labels.join(", ");
    return {
      attributes: { "data-video": i },
      cells: [
        { content: openButton(i), value: video.name, class: "name" }, { content: isolated(labels), value: labels },
        { content: count(video.frames), value: video.frames }, { content: percent(Math.min(1, share), 0), value: share },
        { content: percent(auc, 1), value: auc }, { content: String(mean), value: mean }, { content: String(peak), value: peak }, { content: spark },
      ],
    };
  });
  fill("videos", sortableTable(columns, rows, { "aria-label": "All videos" }));
  for (const spark of sparks.keys()) watching.observe(spark);
  find();
}

function find() {
  const wanted = document.getElementById("find").value.toLowerCase();
  let shown = 0;
  for (const row of document.querySelectorAll("#videos tbody tr")) {
    const video = data.videos[row.dataset.video];
    row.hidden = ![video.name, ...video.labels].some((text) => text.toLowerCase().includes(wanted));
    shown += !row.hidden;
  }
  fill("found", `${shown} of ${data.videos.length}`);
  current();
}

function current() {
  for (const row of document.querySelectorAll("#videos tbody tr")) {
    if (Number(row.dataset.video) === viewer.index) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  }
}

const spoken = (from, to) => (to - from > 1 ? `frames ${count(from)} to ${count(to - 1)}` : `frame ${count(from)}`);

// The remarks of every run on the open video, in the order of time.
function remarks() {
  fill("remarks", ...data.runs.flatMap((run) => {
    const found = run.remarks?.videos[viewer.index];
    if (!found?.shown.length) return [];
    const lines = found.shown.map(([from, to, which]) =>
      make("li", { "data-from": from, "data-to": to }, make("button", { type: "button", class: "link", click: () => viewer.goto(from, to) }, spoken(from, to)), " ", isolated(run.remarks.texts[which])));
    const more = found.more ? make("small", { class: "muted" }, `${count(found.more)} more in remarks.jsonl of the run.`) : null;
    const label = several ? `Remarks of ${run.label}` : "Remarks";
    return [make("h4", {}, isolated(label)), make("ol", { class: "remarks", tabindex: "0", "aria-label": label }, ...lines), ...(more ? [more] : [])];
  }));
  currentRemarks();
}

function currentRemarks() {
  for (const line of document.querySelectorAll("#remarks li")) {
    if (line.dataset.from <= viewer.cursor && viewer.cursor < line.dataset.to) line.setAttribute("aria-current", "true");
    else line.removeAttribute("aria-current");
  }
}

function choose(index) {
  chosen = viewer.classRun = index;
  const run = data.runs[index];
  distribution(run);
  extremes(run);
  confusion(run);
  videoTable(run);
  viewer.later();
}

function controls() {
  const button = (text, action, label) => make("button", { type: "button", click: action, "aria-label": label }, text);
  const check = (text, changed, checked = false) => make("label", {}, make("input", { type: "checkbox", checked, change: (event) => changed(event.target.checked) }), ...[text].flat());
  fill("video-controls",
    button("‹ previous", () => viewer.open(Math.max(0, viewer.index - 1)), "previous video"), button("next ›", () => viewer.open(Math.min(data.videos.length - 1, viewer.index + 1)), "next video"),
    button("+", () => viewer.zoom(0.5), "zoom in"), button("−", () => viewer.zoom(2), "zoom out"), button("all", () => viewer.show(0, Infinity), "show the whole video"),
    check("fit height", (on) => { viewer.fitted = on; viewer.later(); }));
  const marks = data.runs.map((run, i) => check([swatch(i), isolated(run.label)], (on) => {
    viewer.hidden[on ? "delete" : "add"](i);
    viewer.move(viewer.cursor);
  }, true));
  if (several) fill("video-legend", make("div", { class: "bar" }, ...marks));
  // Each extra has a scale of its own, and is drawn where it is asked for.
  const extras = data.runs.flatMap((run) => Object.entries(run.extras ?? {}).map(([name, packed]) => ({ run, name, packed })));
  fill("extras", ...extras.map((extra, i) => {
    extra.series = data.runs.length + i;
    const range = `${tick(extra.packed.low)} to ${tick(extra.packed.high)}`;
    return check([swatch(extra.series), isolated(several ? `${extra.name} of ${extra.run.label}` : extra.name), make("small", { class: "muted" }, range)], (on) => {
      viewer.extras[on ? "add" : "delete"](extra);
      viewer.move(viewer.cursor);
    });
  }));
  const means = data.runs.filter((run) => run.mean);
  for (const stride of new Set(means.map((run) => run.stride))) {
    const which = means.filter((run) => run.stride === stride).map((run) => run.label);
    document.querySelector(".viewer").append(make("p", { class: "muted" }, make("small", {}, `A value is the mean of ${stride} frames: `, isolated(which.join(", ")), ".")));
  }
  const select = make("select", { id: "run", change: (event) => choose(Number(event.target.value)) }, ...data.runs.map((run, i) => make("option", { value: i }, run.label)));
  if (several) fill("choose-run", make("label", {}, "Run", select), make("small", { class: "muted" }, "also that of the class probabilities above"));
  else document.getElementById("run-title").textContent = "Scores and videos";
  fill("find-video", make("label", {}, "Find ", make("input", { id: "find", type: "search", input: find })), make("span", { id: "found", class: "muted", role: "status" }));
}

header();
figures();
ranking();
place();
operating();
classes();
scenarios();
controls();
choose(0);
document.addEventListener("opened", () => {
  current();
  remarks();
});
document.addEventListener("moved", currentRemarks);
viewer.open(Math.max(0, data.videos.findIndex((video) => video.runs.length)));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => videoTable(data.runs[chosen]));
document.body.dataset.ready = "true";
