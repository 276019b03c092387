// The curve of one video: scores of all runs over ground truth, thumbnails, and the class probabilities of one run.

const canvas = document.getElementById("curve");
const MARGIN = { right: 10, top: 20 };
const CURVE = 200;
const AXIS = 22;
const CLASS = 15;
const FONT = "11px system-ui, sans-serif";

// A name, or as much of it as there is room for.
function shortened(pen, name, width) {
  if (pen.measureText(name).width <= width) return name;
  let letters = [...name].slice(0, 100);
  while (letters.length && pen.measureText(`${letters.join("")}…`).width > width) letters = letters.slice(0, -1);
  return `${letters.join("")}…`;
}

const viewer = {
  index: 0, view: { from: 0, to: 1 }, cursor: 0, hidden: new Set(), extras: new Set(), fitted: false, classRun: 0, picked: null, image: null,

  open(index, focus = false) {
    this.index = index;
    const video = data.videos[index];
    this.view = { from: 0, to: video.frames };
    this.cursor = 0;
    this.image = null;
    if (video.strip) {
      const image = new Image();
      image.addEventListener("load", () => this.later());
      image.src = video.strip.source;
      this.image = image;
    }
    fill("video-name", isolated(video.name));
    fill("video-about", ...this.about(video));
    canvas.setAttribute("aria-valuemax", video.frames - 1);
    this.move(0);
    document.dispatchEvent(new CustomEvent("opened"));
    if (focus) {
      canvas.focus();
      document.querySelector(".viewer").scrollIntoView({ block: "nearest" });
    }
  },

  // What the page says of a video, of a place in it, and of what is there; the page of a user's own video says it in other words.
  about(video) {
    const anomalous = video.runs.reduce((sum, [start, end]) => sum + end - start, 0);
    const parts = [`${count(video.frames)} frames, ${anomalous ? `${percent(Math.min(1, anomalous / video.frames), 0)} % of them anomalous (shaded)` : "none of them anomalous"}; labelled `];
    video.labels.forEach((label, i) => parts.push(i ? ", " : "", isolated(label)));
    return parts;
  },
  place: count,
  moment(place, inside, shaded) {
    const truth = inside.length ? inside.map(([label]) => label).join(", ") : shaded ? "anomalous" : "normal";
    return [`Frame ${place}`, "ground truth", truth];
  },

  later() {
    if (!this.waiting) this.waiting = requestAnimationFrame(() => this.draw());
  },

  boxes() {
    const width = canvas.clientWidth;
    const run = data.runs[this.classRun];
    const pen = canvas.getContext("2d");
    pen.font = FONT;
    const names = run.classes ? run.classNames : [];
    const widest = Math.max(30, ...[...names, ...this.ticks().map(([, text]) => text)].map((text) => pen.measureText(text).width));
    const left = Math.min(widest + 10, Math.max(44, width * 0.28));
    const plot = { x: left, y: MARGIN.top, width: Math.max(1, Math.floor(width - left - MARGIN.right)), height: CURVE };
    const strip = data.videos[this.index].strip;
    const pictures = { ...plot, y: plot.y + CURVE + AXIS, height: strip ? 58 : 0 };
    const classes = { ...plot, y: pictures.y + pictures.height, height: names.length * CLASS };
    return { plot, pictures, classes, names, width, height: classes.y + classes.height + 4 };
  },

  draw() {
    this.waiting = null;
    const { plot, pictures, classes, names, width, height } = this.boxes();
    canvas.style.height = `${height}px`;
    const pen = penOf(canvas, width, height);
    const video = data.videos[this.index];
    const at = (frame) => plot.x + ((frame - this.view.from) / (this.view.to - this.view.from)) * plot.width;
    pen.font = FONT;
    pen.textBaseline = "middle";
    truthBands(pen, video, this.view, plot);
    pen.save();
    pen.beginPath();
    pen.rect(plot.x, 0, plot.width, plot.y);
    pen.clip();
    pen.fillStyle = color("--truth-ink");
    const seen = video.segments.filter(([, start, end]) => end > this.view.from && start < this.view.to).sort((a, b) => a[1] - b[1]);
    seen.forEach(([label, start], i) => {
      const x = Math.max(plot.x, at(start)) + 2;
      // As far as the name of the next one, if that is to the right.
      const next = i + 1 < seen.length ? at(seen[i + 1][1]) : Infinity;
      const room = Math.min(plot.x + plot.width, next > x ? next : Infinity) - x - 2;
      if (room > CLASS) pen.fillText(shortened(pen, label, room), x, plot.y / 2 + 2);
    });
    pen.restore();
    const range = this.range();
    this.axes(pen, plot, range, at);
    data.runs.forEach((run, i) => {
      if (this.hidden.has(i)) return;
      pen.strokeStyle = color(`--series-${i % SERIES}`);
      pen.lineWidth = 1.5;
      pen.setLineDash(seriesDash(i).split(" ").filter(Boolean).map(Number));
      trace(pen, run, this.index, this.view, plot, range);
    });
    for (const { run, packed, series } of this.extras) {
      pen.strokeStyle = color(`--series-${series % SERIES}`);
      pen.lineWidth = 1;
      pen.setLineDash(seriesDash(series).split(" ").filter(Boolean).map(Number));
      trace(pen, run, this.index, this.view, plot, [packed.low, packed.high], packed);
    }
    pen.setLineDash([]);
    if (pictures.height) this.pictures(pen, pictures, video.strip, at);
    if (names.length) this.classes(pen, classes, names);
    this.marks(pen, plot, height, at);
  },

  range() {
    if (!this.fitted) return wholeRange;
    const shown = data.runs.filter((_, i) => !this.hidden.has(i));
    let [low, high] = [Infinity, -Infinity];
    for (const run of shown) {
      const [first, last] = [this.view.from, this.view.to - 1].map((frame) => rowAt(run, this.index, frame));
      for (let row = first; row <= last; row++) {
        const place = run.starts[this.index] + row;
        low = Math.min(low, valueOf(run.scores, run.lowBytes[place]));
        high = Math.max(high, valueOf(run.scores, run.bytes[place]));
      }
    }
    return high > low ? [low, high] : wholeRange;
  },

  // Where the axis of scores has its values, from 0 to 1, and their texts.
  ticks() {
    const [low, high] = this.range();
    return [0, 0.5, 1].map((part) => [part, tick(low + part * (high - low))]);
  },

  axes(pen, plot, range, at) {
    pen.strokeStyle = color("--line");
    pen.fillStyle = color("--muted");
    pen.lineWidth = 1;
    for (const [part, text] of this.ticks()) {
      const y = Math.round(plot.y + plot.height * (1 - part)) + 0.5;
      pen.beginPath();
      pen.moveTo(plot.x, y);
      pen.lineTo(plot.x + plot.width, y);
      pen.stroke();
      pen.textAlign = "right";
      pen.fillText(text, plot.x - 6, y);
    }
    const ticks = plot.width > 500 ? 8 : plot.width > 260 ? 4 : 2;
    const last = this.view.to - 1;
    for (const i of Array(ticks + 1).keys()) {
      const frame = Math.round(this.view.from + (i / ticks) * (last - this.view.from));
      pen.textAlign = i === 0 ? "left" : i === ticks ? "right" : "center";
      pen.fillText(this.place(frame), at(frame), plot.y + plot.height + 12);
    }
    pen.textAlign = "left";
  },

  pictures(pen, box, strip, at) {
    if (!this.image.complete) return;
    pen.save();
    pen.beginPath();
    pen.rect(box.x, box.y, box.width, box.height);
    pen.clip();
    const height = this.image.naturalHeight;
    // Never wider than their share of the width, so that neighbours do not overlap.
    const apart = at(strip.frames[1] ?? this.view.to) - at(strip.frames[0]);
    const width = Math.min(strip.width, Math.max(8, apart - 2));
    strip.frames.forEach((frame, i) => {
      pen.drawImage(this.image, i * strip.width + (strip.width - width) / 2, 0, width, height, at(frame) - width / 2, box.y, width, height);
    });
    pen.restore();
  },

  classes(pen, box, names) {
    const run = data.runs[this.classRun];
    run.classBytes ??= unpacked(run.classes);
    const total = names.length;
    pen.fillStyle = color("--accent");
    for (let pixel = 0; pixel < box.width; pixel++) {
      const frame = this.view.from + ((pixel + 0.5) / box.width) * (this.view.to - this.view.from);
      const start = (run.starts[this.index] + rowAt(run, this.index, frame)) * total;
      for (let i = 0; i < total; i++) {
        pen.globalAlpha = Math.max(0, Math.min(1, valueOf(run.classes, run.classBytes[start + i])));
        pen.fillRect(box.x + pixel, box.y + i * CLASS + 1, 1, CLASS - 2);
      }
    }
    pen.globalAlpha = 1;
    pen.textAlign = "right";
    pen.fillStyle = color("--muted");
    names.forEach((name, i) => pen.fillText(shortened(pen, name, box.x - 8), box.x - 6, box.y + (i + 0.5) * CLASS));
    pen.textAlign = "left";
  },

  marks(pen, plot, height, at) {
    if (this.picked) {
      pen.fillStyle = color("--accent");
      pen.globalAlpha = 0.2;
      pen.fillRect(Math.min(...this.picked), plot.y, Math.abs(this.picked[1] - this.picked[0]), plot.height);
      pen.globalAlpha = 1;
    }
    if (this.cursor < this.view.from || this.cursor >= this.view.to) return;
    pen.strokeStyle = color("--ink");
    pen.lineWidth = 1;
    const x = Math.round(at(this.cursor + 0.5)) + 0.5;
    pen.beginPath();
    pen.moveTo(x, plot.y);
    pen.lineTo(x, height);
    pen.stroke();
  },

  move(frame) {
    const video = data.videos[this.index];
    this.cursor = Math.max(0, Math.min(video.frames - 1, Math.floor(frame)));
    const inside = video.segments.filter(([, start, end]) => start <= this.cursor && this.cursor < end);
    const shaded = video.runs.some(([start, end]) => start <= this.cursor && this.cursor < end);
    const [where, what, found] = this.moment(this.place(this.cursor), inside, shaded);
    const lines = data.runs.map((run, i) => {
      const score = scoreAt(run, this.index, this.cursor);
      const [best] = classesAt(run, this.index, this.cursor).sort((a, b) => b[1] - a[1]);
      const text = scoreText(score, score.toFixed(digitsOf(run.scores)));
      return { run, i, score, text, best, hidden: this.hidden.has(i) };
    }).filter((line) => !line.hidden);
    const items = lines.map(({ run, i, score, text, best }) => [
      i, isolated(run.label), make("b", { "data-run": i, "data-score": score }, text),
      ...(best ? [make("span", { class: "muted" }, isolated(best[0]), ` ${percent(best[1], 0)} %`)] : []),
    ]);
    for (const { run, name, packed, series } of this.extras) {
      const value = valueAt(run, this.index, this.cursor, packed);
      items.push([series, isolated(name), make("b", { "data-extra": name }, value.toFixed(digitsOf(packed)))]);
    }
    fill("readout", `${where}, ${what} `, isolated(found), legend(items));
    canvas.setAttribute("aria-valuenow", this.cursor);
    canvas.setAttribute("aria-valuetext", `${where}, ${found}, ${lines.map((line) => `${line.run.label} ${line.text}`).join(", ")}`);
    document.dispatchEvent(new CustomEvent("moved"));
    this.later();
  },

  // Moves to the first of some frames, and shows them where they are outside of what is seen.
  goto(from, to) {
    this.move(from);
    if (from < this.view.from || to > this.view.to) this.show(from, to);
  },

  // Zooms by a factor about the cursor, or to the frames from..to.
  zoom(factor) {
    const span = (this.view.to - this.view.from) * factor;
    const share = (this.cursor - this.view.from) / (this.view.to - this.view.from);
    this.show(this.cursor - share * span, this.cursor + (1 - share) * span);
  },

  show(from, to) {
    const { frames } = data.videos[this.index];
    const span = Math.max(Math.min(frames, 8), Math.min(frames, to - from));
    const start = Math.max(0, Math.min(frames - span, from));
    this.view = { from: start, to: start + span };
    if (this.cursor < start || this.cursor >= start + span) this.move(start + span / 2);
    this.later();
  },

  step(frames) {
    this.move(this.cursor + frames);
    const span = this.view.to - this.view.from;
    if (this.cursor < this.view.from) this.show(this.cursor, this.cursor + span);
    if (this.cursor >= this.view.to) this.show(this.cursor + 1 - span, this.cursor + 1);
  },

  frameAt(event) {
    const { plot } = this.boxes();
    const x = event.clientX - canvas.getBoundingClientRect().left;
    return this.view.from + ((x - plot.x) / plot.width) * (this.view.to - this.view.from);
  },
};

canvas.addEventListener("pointermove", (event) => {
  const frame = viewer.frameAt(event);
  viewer.move(Math.max(viewer.view.from, Math.min(viewer.view.to - 1e-6, frame)));
  if (viewer.picked) viewer.picked[1] = event.clientX - canvas.getBoundingClientRect().left;
});
canvas.addEventListener("pointerdown", (event) => {
  if (event.pointerType !== "mouse" || event.button !== 0) return;
  const x = event.clientX - canvas.getBoundingClientRect().left;
  viewer.picked = [x, x];
  viewer.pickedFrom = viewer.frameAt(event);
  canvas.setPointerCapture(event.pointerId);
});
canvas.addEventListener("pointerup", (event) => {
  const picked = viewer.picked;
  viewer.picked = null;
  if (picked && Math.abs(picked[1] - picked[0]) > 5) {
    const [from, to] = [viewer.pickedFrom, viewer.frameAt(event)].sort((a, b) => a - b);
    viewer.show(Math.max(viewer.view.from, from), Math.min(viewer.view.to, to));
  }
  viewer.later();
});
canvas.addEventListener("pointercancel", () => {
  viewer.picked = null;
  viewer.later();
});
canvas.addEventListener("dblclick", () => viewer.show(0, Infinity));
canvas.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const far = event.shiftKey ? 10 : 1;
  const step = far * Math.min(...data.runs.map((run) => run.stride));
  const keys = {
    ArrowRight: () => viewer.step(step), ArrowUp: () => viewer.step(step),
    ArrowLeft: () => viewer.step(-step), ArrowDown: () => viewer.step(-step),
    Home: () => viewer.step(-Infinity), End: () => viewer.step(Infinity),
    PageDown: () => viewer.open(Math.min(data.videos.length - 1, viewer.index + 1)), PageUp: () => viewer.open(Math.max(0, viewer.index - 1)),
    "+": () => viewer.zoom(0.5), "=": () => viewer.zoom(0.5), "-": () => viewer.zoom(2), 0: () => viewer.show(0, Infinity),
  };
  if (!keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
});
new ResizeObserver(() => viewer.later()).observe(canvas);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => viewer.later());
