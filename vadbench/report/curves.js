// Scores as they are packed: a byte for every value of every run, one video after the other.

function unpacked(packed) {
  const text = atob(packed.bytes);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

const valueOf = (packed, byte) => packed.low + ((packed.high - packed.low) * byte) / 255;

// As many digits as the quantisation leaves meaningful.
function digitsOf(packed) {
  const step = (packed.high - packed.low) / 255;
  return step > 0 ? Math.max(0, Math.min(8, Math.floor(-Math.log10(step)))) : 2;
}

// Where a value stands for several rows, the highest values are followed by the lowest ones.
for (const run of data.runs) {
  run.bytes = unpacked(run.scores);
  run.lowBytes = run.spread ? run.bytes.subarray(run.bytes.length / 2) : run.bytes;
  run.starts = [0];
  for (const rows of run.rows) run.starts.push(run.starts.at(-1) + rows);
}

const rowAt = (run, video, frame) => Math.min(Math.floor(frame / run.stride), run.rows[video] - 1);
// The bytes of the scores, or of another curve of the run, unpacked when they are first asked for.
const bytesOf = (run, packed) => (packed === run.scores ? run.bytes : (packed.unpacked ??= unpacked(packed)));
const valueAt = (run, video, frame, packed) => valueOf(packed, bytesOf(run, packed)[run.starts[video] + rowAt(run, video, frame)]);
const scoreAt = (run, video, frame) => valueAt(run, video, frame, run.scores);

function classesAt(run, video, frame) {
  if (!run.classes) return [];
  run.classBytes ??= unpacked(run.classes);
  const start = (run.starts[video] + rowAt(run, video, frame)) * run.classNames.length;
  return run.classNames.map((name, i) => [name, valueOf(run.classes, run.classBytes[start + i])]);
}

// One step line through a video's scores or another curve: within a pixel, the lowest and the highest value.
function trace(pen, run, video, view, box, range, packed = run.scores) {
  const { x, y, width, height } = box;
  const bytes = bytesOf(run, packed);
  const lowBytes = packed === run.scores ? run.lowBytes : bytes;
  const at = (byte) => y + height - ((valueOf(packed, byte) - range[0]) / (range[1] - range[0] || 1)) * height;
  pen.beginPath();
  for (let pixel = 0; pixel < width; pixel++) {
    const from = view.from + (pixel / width) * (view.to - view.from);
    const first = rowAt(run, video, from);
    const last = Math.max(first, rowAt(run, video, from + (view.to - view.from) / width - 1e-9));
    let [low, high] = [255, 0];
    for (let row = first; row <= last; row++) {
      low = Math.min(low, lowBytes[run.starts[video] + row]);
      high = Math.max(high, bytes[run.starts[video] + row]);
    }
    if (pixel === 0) pen.moveTo(x, at(low));
    pen.lineTo(x + pixel + 0.5, at(low));
    if (high > low) pen.lineTo(x + pixel + 0.5, at(high));
  }
  pen.stroke();
}

function truthBands(pen, video, view, box) {
  pen.fillStyle = color("--truth");
  const at = (frame) => box.x + ((Math.max(view.from, Math.min(view.to, frame)) - view.from) / (view.to - view.from)) * box.width;
  for (const [start, end] of video.runs) {
    if (end > view.from && start < view.to) pen.fillRect(at(start), box.y, Math.max(1, at(end) - at(start)), box.height);
  }
}

// A canvas as sharp as the screen; its pen draws in CSS pixels.
function penOf(canvas, width, height) {
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  return pen;
}

// All runs share one axis: 0 to 1, or as far as their scores and the page's threshold go.
const lowest = Math.min(...data.runs.map((run) => run.scores.low), ...(data.threshold ? [data.threshold.low] : []));
const highest = Math.max(...data.runs.map((run) => run.scores.high), ...(data.threshold ? [data.threshold.value] : []));
const wholeRange = lowest >= 0 && highest <= 1 ? [0, 1] : [lowest, highest];

const SPARK = { x: 0, y: 1, width: 150, height: 24 };

function drawSpark(canvas, run, index) {
  const pen = penOf(canvas, SPARK.width, SPARK.height + 2);
  const view = { from: 0, to: data.videos[index].frames };
  truthBands(pen, data.videos[index], view, SPARK);
  pen.strokeStyle = color(`--series-${data.runs.indexOf(run) % SERIES}`);
  trace(pen, run, index, view, SPARK, wholeRange);
}
