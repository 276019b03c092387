"""Everything that is timed, beside a literal version of the same work and the machine's floor.

    make speed
    python benchmarks/speed/all.py [--full] [--only WORD] [--threads 2] [--json FILE]

Each measurement is in a process of its own, a median of five after one call that does not count; a training step is a
median of three, literally of two, and what takes minutes is done once. The literal versions in ``literal/`` are written
from the specifications and checked here to give the same numbers. A floor is the bytes that must be moved over the
bandwidth of memory, or the operations of matrix products and convolutions over the rate of the fastest of them, or a
process that does nothing; each is measured next to the work, in the same process, and given in CPU seconds. ``--full``
scores the whole of a split of UCF-Crime's size instead of a tenth; ``--quick`` tries it all in small sizes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from measuring import Figures, alone, bandwidth, now_gb, operations, operations_rate, peak_gb, timed
from numpy.typing import NDArray
from tabulate import tabulate


@dataclass(frozen=True)
class Work:
    """A piece of work.

    Args:
        ours: what vadbench does.
        literal: the same, literally; ``None`` where there is no other way to do it.
        floor: CPU seconds that it needs at least.
        difference: largest relative difference between the two, over what is tolerated.
        times: how often the literal version's seconds count, where it does only a part.
        repeats: measurements of ours and of the literal version; one is not preceded by a call that does not count.
    """

    ours: Callable[[], Any]
    literal: Callable[[], Any] | None
    floor: Callable[[], float]
    difference: Callable[[], float] | None = None
    repeats: tuple[int, int] = (5, 5)
    times: int = 1


@dataclass(frozen=True)
class Options:
    """How large the work is; see the options of the command."""

    full: bool
    quick: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="score the whole split")
    parser.add_argument("--quick", action="store_true", help="small sizes, not to be compared")
    parser.add_argument("--only", default="", metavar="WORD", help="work whose name has this in it")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    arguments = parser.parse_args()
    options = Options(arguments.full, arguments.quick)
    record = []
    chosen = [name for name in WORKS if arguments.only in name]
    if not chosen:
        parser.error(f"no work has '{arguments.only}' in its name; there are {', '.join(WORKS)}")
    for name in chosen:
        found = {variant: alone(arguments.threads, measure, name, variant, options) for variant in ("ours", "literal")}
        record.append({"work": name, **found["ours"], "literal": found["literal"]})
        print(f"{name}: {found['ours']['cpu']:.3g} CPU s", file=sys.stderr)
    rows = []
    for entry in record:
        literal = entry["literal"]
        share = [literal["cpu"], f"{entry['cpu'] / literal['cpu']:.0%}"] if literal else ["-", "-"]
        times = f"{entry['cpu'] / entry['floor']:.3g}"
        rows.append([entry["work"], entry["wall"], entry["cpu"], entry["peak_gb"], *share, entry["floor"], times])
    headers = ["work", "wall s", "CPU s", "peak GB", "literal CPU s", "share", "floor CPU s", "times floor"]
    print(tabulate(rows, headers, tablefmt="github", floatfmt=".3g", disable_numparse=[5, 7]))
    if arguments.json:
        import torch

        from vadbench import environment
        from vadbench.files import write_json

        machine = environment.describe(torch.device("cpu")) | {"threads": arguments.threads, "load": os.getloadavg()}
        write_json(arguments.json, {"settings": asdict(options), "figures": record, "environment": machine})


def measure(name: str, variant: str, options: Options) -> dict[str, Any] | None:
    """Figures of ours or the literal version; peak memory is what is above the imports, loading CLIP included."""
    if ":" in name:
        import methods  # noqa: F401
    before = now_gb()
    with tempfile.TemporaryDirectory() as folder:
        work = WORKS[name](options, Path(folder))
        run = work.ours if variant == "ours" else work.literal
        if run is None:
            return None
        repeats = 1 if options.quick else work.repeats[variant != "ours"]
        if repeats > 1:
            run()
        wall, cpu = timed(run, repeats)
        peak = max(0.0, peak_gb() - before)
        if variant == "literal":
            wall, cpu = work.times * wall, work.times * cpu
        figures = asdict(Figures(wall, cpu, peak))
        if variant == "ours":
            return figures | {"floor": work.floor()}
        difference = work.difference() if work.difference else 0.0
        assert difference <= 1, f"{name}: ours and the literal version differ {difference:.1f} times what is tolerated"
        return figures | {"difference_over_tolerance": difference}


def off(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """Largest difference over what the parity tests tolerate: 1e-5 of the largest value and of the value itself."""
    size = np.abs(expected.astype(float))
    return float((np.abs(found.astype(float) - expected) / (1e-5 * (size + size.max()))).max())


def start(*arguments: str) -> Callable[[Options, Path], Work]:
    """A command of vadbench; literally, every method is imported, for what it says might depend on them."""
    ours = [sys.executable, "-c", "from vadbench.cli import main; main()", *arguments]
    modules = ("anomalyclip.method", "baselines.mil", "descriptions.frame", "vadclip.method")
    literal = [*ours[:2], "".join(f"import vadbench_{m}; " for m in modules) + ours[2], *arguments]

    def call(command: list[str]) -> None:
        subprocess.run(command, check=True, capture_output=True)

    return lambda options, folder: Work(
        partial(call, ours), partial(call, literal), lambda: timed(lambda: call([sys.executable, "-c", ""]), 5)[1]
    )


def data(listing: bool, options: Options, folder: Path) -> Work:
    """UCF-Crime's lists, or all of its files read and checked."""
    import datacheck

    datacheck.build(folder, 4 if options.quick else 64, 512)
    lists = sorted(folder.glob("*.txt"))
    arrays = sorted(folder.rglob("*.npy"))
    size = sum(p.stat().st_size for p in (lists if listing else arrays))
    if listing:
        return Work(
            partial(datacheck.list_both, folder),
            lambda: [line.split() for path in lists for line in path.read_text().splitlines()],
            lambda: size / bandwidth(),
        )
    return Work(
        partial(datacheck.check, folder),
        lambda: [bool(np.isfinite(np.load(path)).all()) for path in arrays],
        lambda: size / bandwidth(),
        repeats=(3, 3),
    )


def extraction(encoded: bool, options: Options, folder: Path) -> Work:
    """Frames of two clips decoded, converted and resized, or their features extracted; literally, one by one."""
    import av
    import torch
    from extraction import STRIDE, make_videos

    from vadbench.clip import CROPS, ClipSource, load_clip
    from vadbench.features.decoding import Decoder
    from vadbench.features.extract import extract_features
    from vadbench.features.store import FeatureStore

    clip = load_clip(ClipSource("small"), torch.device("cpu"))
    videos = make_videos(folder, 2, 32 if options.quick else 304)
    paths = [video.path for video in videos if video.path is not None]

    def prepared() -> list[torch.Tensor]:
        with Decoder(paths, clip.preprocess, STRIDE, "mean", 256, 1, False) as decoder:
            return [batch for number in range(len(paths)) for batch in decoder.batches(number)]

    def extracted() -> Path:
        out = Path(tempfile.mkdtemp(dir=folder))
        options = {"pooling": "mean", "arithmetic": "fp32", "batch_size": 256, "workers": 1}
        extract_features(videos, clip, out, stride=STRIDE, crops=CROPS[:1], **options)
        return out

    @torch.inference_mode()
    def literal() -> list[torch.Tensor]:
        found = []
        for path in paths:
            with av.open(str(path)) as container:
                for frame in container.decode(video=0):
                    pixels = torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1)[None]
                    image = clip.preprocess(pixels)
                    found.append(clip.encode_images(clip.crop(image, CROPS[0])) if encoded else image)
        return found

    def decoded() -> None:
        for path in paths:
            with av.open(str(path)) as container:
                container.streams.video[0].thread_type = "AUTO"
                for _ in container.decode(video=0):
                    pass

    def halves() -> float:
        batches = prepared()
        encode = timed(lambda: [clip.encode_images(clip.crop(batch, CROPS[0])) for batch in batches], 3)[1]
        return max(timed(prepared, 3)[1], encode)

    def difference() -> float:
        one_by_one = torch.cat(literal())
        if not encoded:
            return off(torch.cat(prepared()).numpy(), one_by_one.numpy())
        store = FeatureStore(extracted())
        rows = np.concatenate([np.asarray(store.rows(video.name)).reshape(-1, clip.dim) for video in videos])
        means = one_by_one.unflatten(0, (-1, STRIDE)).mean(1).numpy()
        return off(rows, means)

    if encoded:
        return Work(extracted, literal, halves, difference)
    return Work(prepared, literal, lambda: timed(decoded, 5)[1], difference)


def built(name: str, options: Options) -> Any:
    """A method with random weights, of published size but for the CLIP and the batch when it has to be quick."""
    import torch

    import methods

    torch.manual_seed(0)
    return methods.build(name, replace(methods.QUICK, settings="ucfcrime") if options.quick else methods.PUBLISHED)


def literal_of(method: Any) -> Any:
    """The literal version's losses ``(batch)`` and scores ``(rows)`` with the weights of a method."""
    classes, text = method.task.classes, method.task.text
    if type(method).__name__ == "AnomalyClip":
        from literal import anomalyclip
        from vadbench_anomalyclip.prompts import class_words

        words = class_words(classes, method.config)
        state = dict(method.named_parameters()) | dict(method.named_buffers())
        known = (words, classes.normal, state, text)
        return (
            lambda batch: anomalyclip.losses(batch.views["features"], batch.labels.argmax(1), *known),
            lambda rows: anomalyclip.score(rows, *known),
        )
    from literal import vadclip
    from vadbench_vadclip.checkpoint import reference_names
    from vadbench_vadclip.prompts import class_words

    order = [classes.normal, *classes.abnormal]
    words = [class_words(classes, method.config)[i] for i in order]
    own = dict(method.named_parameters()) | dict(method.named_buffers())
    state = {theirs: own[ours] for ours, theirs in reference_names(method.config).items()}
    return (
        lambda batch: vadclip.losses(
            batch.views["features"], batch.views["length"], batch.labels[:, order], words, state, text
        ),
        lambda rows: vadclip.score(rows, words, state, text),
    )


def training(name: str, options: Options, folder: Path) -> Work:
    """A step at the published batch; losses and gradients are compared at a small one."""
    import torch

    import methods

    method = built(name, options)
    losses, _ = literal_of(method)
    batch = methods.batch_of(method, methods.SMALL_BATCH[name] if options.quick else method.config.recipe.batch_size)
    ours = methods.step(method, lambda: torch.stack(list(method.loss(batch).values())).sum())

    def floor() -> float:
        return operations(ours) / operations_rate()

    def difference() -> float:
        few = methods.batch_of(method.train(), methods.SMALL_BATCH[name])
        found = []
        for loss in (lambda: torch.stack(list(method.loss(few).values())), lambda: losses(few)):
            torch.manual_seed(1)
            method.zero_grad()
            terms = loss()
            terms.sum().backward()
            norms = [p.grad.norm() for p in method.parameters() if p.grad is not None and p.grad.norm() > 1e-4]
            found.append((terms.detach(), torch.stack(norms)))
        (a, g), (b, h) = found
        return max(float(((a - b) / b).abs().max() / 1e-5), float(((g - h) / h).abs().max() / 1e-3))

    return Work(ours, methods.step(method, lambda: losses(batch).sum()), floor, difference, (3, 2))


def scoring(name: str, options: Options, folder: Path, split: bool) -> Work:
    """A video of 5,000 frames, or a test split of UCF-Crime's size, text encoded anew; literally for every video."""
    import torch

    import methods

    method = built(name, options).eval()
    _, score = literal_of(method)
    sizes = methods.QUICK if options.quick else methods.PUBLISHED
    videos, frames = (methods.VIDEOS, methods.FRAMES) if options.full else sizes.split
    lengths = methods.lengths(videos, frames) if split else [sizes.video]
    stride = method.config.rows.stride
    rows = [torch.randn(-(-n // stride), method.task.dim) for n in lengths]
    ours = methods.score(method, lengths, True)

    def floor() -> float:
        return operations(ours) / operations_rate()

    @torch.inference_mode()
    def difference() -> float:
        return off(method.eval().score(rows[:1])[0].anomaly.numpy(), score(rows[0]).numpy())

    return Work(
        ours, torch.inference_mode()(lambda: [score(r) for r in rows]), floor, difference, (1, 1) if split else (5, 5)
    )


def assembling(name: str, options: Options, folder: Path) -> Work:
    """Samples of 16 videos of 7,300 rows from their files; literally, whole files are read."""
    method = built(name, options)
    paths = [folder / f"{i}.npy" for i in range(16)]
    for path in paths:
        np.save(path, np.random.default_rng(0).random((7300, method.task.dim), np.float32))

    def views(mode: str | None) -> list[Any]:
        rng = np.random.default_rng(0)
        return [method.view(np.load(path, mmap_mode=mode), rng)["features"] for path in paths]

    rows = 7300 if name == "vadclip" else method.config.segments * method.config.segment_length
    return Work(
        partial(views, "r"),
        partial(views, None),
        lambda: len(paths) * rows * method.task.dim * 4 / bandwidth(),
        lambda: float(np.abs(np.array(views("r")) - np.array(views(None))).max()),
    )


def metrics(resampled: bool, options: Options, folder: Path) -> Work:
    """All metrics of a split of UCF-Crime's size, or 1,000 resamples of AUC and AP, literally one after another."""
    import metrics as split
    from literal import metrics as literal

    from vadbench.metrics.bootstrap import draw_videos, resampled_metrics
    from vadbench.metrics.definitions import IOU_THRESHOLDS
    from vadbench.metrics.localization import KEYS, localise
    from vadbench.metrics.ranking import evaluate

    rows, videos = split.split(16)
    size = sum(a.nbytes for a in (rows.scores, rows.frames, rows.positives, rows.class_scores, rows.class_positives))
    scores, classes = np.repeat(rows.scores, rows.frames), np.repeat(rows.class_scores, rows.frames, 0)
    abnormal = rows.class_positives[:, 1:].argmax(1) + 1
    within = np.concatenate([np.arange(n) for n in rows.frames])
    truth = np.where(within < np.repeat(rows.positives, rows.frames), np.repeat(abnormal, rows.frames), split.NORMAL)
    whole = [(np.repeat(v.probabilities, 16, 0), v.segments) for v in videos]
    borders = np.cumsum(rows.video_frames)[:-1]
    draws = draw_videos(len(videos), 1000)

    def ours() -> dict[str, float]:
        localised = localise(videos, 16, rows.class_names, split.NORMAL, "vadclip")
        found = evaluate(rows) | localised.metrics()
        return {key: value["value"] for key, value in found.items()}

    def one_by_one() -> dict[str, float]:
        found = literal.ranking(scores, classes, truth, split.NORMAL)
        return found | dict(zip(KEYS, literal.localisation(whole, IOU_THRESHOLDS), strict=False))

    def difference() -> float:
        found, expected = ours(), one_by_one()
        return max(abs(found[key] - value) for key, value in expected.items()) / 1e-6

    def resample() -> dict[str, Any]:
        return resampled_metrics(rows, ("AUC", "AP"), draws)

    def resample_one_by_one() -> list[tuple[float, float]]:
        parts = list(zip(np.split(scores, borders), np.split(truth != split.NORMAL, borders), strict=True))
        found = []
        for draw in draws[:20].astype(int):
            drawn = [parts[v] for v in np.repeat(np.arange(len(videos)), draw)]
            found.append(literal.areas(*(np.concatenate(arrays) for arrays in zip(*drawn, strict=True))))
        return found

    def resamples_differ() -> float:
        found = resample()
        ours = np.stack([found["AUC"][:20], found["AP"][:20]], 1)
        return float(np.abs(ours - resample_one_by_one()).max() / 1e-6)

    if resampled:
        return Work(resample, resample_one_by_one, lambda: size / bandwidth(), resamples_differ, (5, 1), 50)
    return Work(ours, one_by_one, lambda: size / bandwidth(), difference, (5, 1))


WORKS: dict[str, Callable[[Options, Path], Work]] = {
    "vadbench --help": start("--help"),
    "vadbench list methods": start("list", "methods"),
    "a table of published numbers": start("table", "vadclip/1", "--out", "no-runs"),
    "list UCF-Crime's videos": partial(data, True),
    "check UCF-Crime's files": partial(data, False),
    "prepare 608 frames": partial(extraction, False),
    "extract 608 frames, small CLIP": partial(extraction, True),
    **{
        f"{name}: {what}": partial(make, name)
        for name in ("anomalyclip", "vadclip")
        for what, make in {
            "training step": training,
            "16 videos from files": assembling,
            "score 5,000 frames": partial(scoring, split=False),
            "score a test split": partial(scoring, split=True),
        }.items()
    },
    "all metrics": partial(metrics, False),
    "1,000 resamples": partial(metrics, True),
}

if __name__ == "__main__":
    main()
