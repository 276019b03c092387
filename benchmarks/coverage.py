"""How often a 95 % interval from resampling videos holds the truth, by the number of test videos.

    OMP_NUM_THREADS=1 python benchmarks/coverage.py [--repeats 500] [--many]

Test splits are drawn from a known world: the frames of a video share an effect and depend on their neighbours, and an
abnormal video has one segment of higher scores. The truth is the metric on a very large split. Three intervals are
compared: the percentile interval, the same with the pairs of a video and its own copy left out of AUC, and the one that
vadbench gives, with quantiles widened as Student's t asks for that number of abnormal videos (Hesterberg, What Teachers
Should Know About the Bootstrap, 2015).

With --many, splits are large enough for vadbench to resample areas to first order. The widened intervals of exact and
of first-order resamples are compared on the same draws.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from tabulate import tabulate

from vadbench.metrics.bootstrap import draw_videos, percentiles, swept_areas, tail
from vadbench.metrics.descent import descend
from vadbench.metrics.first_order import FirstOrder, many
from vadbench.metrics.multiplicities import Multiplicities
from vadbench.metrics.ranking import Ranking
from vadbench.metrics.sweep import resampled_ap, resampled_auc, resampled_pairs
from vadbench.metrics.within import Within
from vadbench.scoring.rows import WeightedRows

SPLITS = ((18, 1), (18, 2), (18, 3), (18, 4), (18, 5), (18, 6), (40, 5), (40, 12), (40, 24), (290, 140))
"""Test videos, and how many of them are abnormal."""
MANY = ((1000, 500), (4000, 500), (560, 520), (3000, 1500))
"""The same, of many videos."""
AREAS = ("AUC", "AP", "AP/trapezoid")
METHODS = ("percentile", "own copies apart", "widened")
Sampled = dict[str, NDArray[np.float64]]


def world(rng: np.random.Generator, videos: int, abnormal: int) -> WeightedRows:
    """Return the rows of a test split."""
    owner, scores, positives = [], [], []
    for index in range(videos):
        rows = int(rng.integers(20, 120))
        noise = np.convolve(rng.normal(size=rows + 4), np.full(5, 5**-0.5), "valid")
        inside = np.zeros(rows, np.int64)
        if index < abnormal:
            first = int(rng.integers(0, rows - 10))
            inside[first : first + int(rng.integers(5, rows // 2))] = 1
        owner.append(np.full(rows, index))
        scores.append(0.8 * rng.normal() + 0.4 * (index < abnormal) + noise + 0.9 * inside)
        positives.append(inside)
    inside = np.concatenate(positives)
    return WeightedRows(np.concatenate(owner), np.concatenate(scores), inside, 1 - inside)


def values(rows: WeightedRows, abnormal: int) -> dict[str, float]:
    """Return the metrics of a split."""
    one = np.ones((1, int(rows.video.max()) + 1))
    found = {key: float(value[0]) for key, value in resampled(rows, abnormal, one)["percentile"].items()}
    ranking = Ranking(rows.scores)
    assert abs(found["AUC"] - (ranking.hits(rows.positives, rows.negatives).auc or 0)) < 1e-9
    return found


def resampled(rows: WeightedRows, abnormal: int, draws: NDArray[np.floating[Any]]) -> dict[str, Sampled]:
    """Return the metrics in resamples of the videos, the pairs within a copied video counted or left out."""
    videos = draws.shape[1]
    some = np.arange(videos) < abnormal
    inside, outside = (np.bincount(rows.video, w, videos) for w in (rows.positives, rows.negatives))
    of_videos = Within(rows, videos, Ranking(rows.scores))
    own, pairs = of_videos.concordant, of_videos.pairs
    place = (draws @ own) / (draws @ pairs)
    counted: Sampled = {
        "AUC": resampled_auc(rows, draws),
        "AnoAUC": resampled_auc(rows.keep(some[rows.video]), draws),
        "AUC/within": place,
        "AP": resampled_ap(rows, draws),
    }
    copies = draws**2 - draws
    apart = dict(counted)
    for key, kept in (("AUC", np.ones(videos, dtype=bool)), ("AnoAUC", some)):
        total = (draws @ inside) * ((draws * kept) @ outside) - copies @ pairs
        hits = resampled_pairs(rows.keep(kept[rows.video]), draws).concordant - copies @ own
        with np.errstate(invalid="ignore"):
            apart[key] = np.where(total > 0, hits / total, np.nan)
    return {"percentile": counted, "own copies apart": apart}


def misses(rng: np.random.Generator, videos: int, abnormal: int, truth: dict[str, float]) -> dict[str, Sampled]:
    """Return by method and metric whether an interval of one split lies above (1) or below (-1) the truth, or not."""
    found = resampled(world(rng, videos, abnormal), abnormal, draw_videos(videos))
    found["widened"] = found["percentile"]
    t = stats.t.ppf(0.975, abnormal - 1) * np.sqrt(abnormal / (abnormal - 1)) if abnormal > 1 else 8.0
    out: dict[str, Sampled] = {}
    for method, samples in found.items():
        tail = stats.norm.cdf(-t) if method == "widened" else 0.025
        for key, sampled in samples.items():
            low, high = np.nanquantile(sampled, [tail, 1 - tail])
            out.setdefault(method, {})[key] = np.array([low > truth[key], high < truth[key], high - low], float)
    return out


def lines(repeats: int) -> Iterator[list[str]]:
    """Yield a line of the table for every split and metric."""
    for videos, abnormal in SPLITS:
        rng = np.random.default_rng([videos, abnormal])
        # In the share of abnormal videos that the split has, which AUC and AP depend on.
        times = 4000 // videos
        truth = values(world(np.random.default_rng(1), videos * times, abnormal * times), abnormal * times)
        made = [misses(rng, videos, abnormal, truth) for _ in range(repeats if videos < 200 else repeats // 4)]
        for key in truth:
            cells = []
            for method in METHODS:
                above, below, width = np.mean([m[method][key] for m in made], axis=0)
                cells.append(
                    f"{100 * (1 - above - below):.1f} ({100 * above:.1f}, {100 * below:.1f}; {100 * width:.1f})"
                )
            yield [f"{videos}, {abnormal}", key, *cells]


def areas(rows: WeightedRows, draws: NDArray[np.floating[Any]]) -> tuple[Sampled, Sampled]:
    """Return resampled areas, exact ones and those to first order."""
    drawn = Multiplicities(draws)
    descent = descend(rows)
    return swept_areas(rows, AREAS, drawn, descent), FirstOrder(descent, drawn).areas(AREAS)


def many_lines(repeats: int) -> Iterator[list[str]]:
    """Yield a line of the table of many videos for every split and metric."""
    for videos, abnormal in MANY:
        rng = np.random.default_rng([videos, abnormal])
        large = world(np.random.default_rng(1), 40 * videos, 40 * abnormal)
        once = Multiplicities(np.ones((1, 40 * videos)))
        truth = {key: float(value[0]) for key, value in swept_areas(large, AREAS, once, descend(large)).items()}
        made = []
        for _ in range(repeats):
            rows = world(rng, videos, abnormal)
            assert many(rows, videos), "the split has fewer videos than the first order is for"
            made.append(areas(rows, draw_videos(videos)))
        for key, value in truth.items():
            ends = np.array([[percentiles(found[key], tail(abnormal))[:2] for found in pair] for pair in made])
            low, high = ends[..., 0], ends[..., 1]
            covered, width = 100 * ((low <= value) & (value <= high)).mean(0), 100 * (high - low).mean(0)
            apart = np.abs(ends[:, 0] - ends[:, 1]).max(1) / (high - low)[:, 0]
            cells = [f"{covered[i]:.1f} ({width[i]:.2f})" for i in range(2)]
            yield [f"{videos}, {abnormal}", key, *cells, f"{apart.mean():.3f}, {apart.max():.3f}"]


def main(say: Callable[[str], None] = print) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=500, help="splits drawn for each line, a quarter for large ones")
    parser.add_argument("--many", action="store_true", help="splits of many videos: exact resamples and first order")
    arguments = parser.parse_args()
    if arguments.many:
        headers = ["videos, abnormal", "metric", "exact: % (width)", "first order: % (width)", "ends apart, widths"]
        say(tabulate(list(many_lines(arguments.repeats)), headers, tablefmt="github", disable_numparse=True))
        return
    headers = ["videos, abnormal", "metric", *(f"{m}: % (too high, too low; width)" for m in METHODS)]
    say(tabulate(list(lines(arguments.repeats)), headers, tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
