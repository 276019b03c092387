"""Recorded scores of published methods: imported, measured, and shown.

    python benchmarks/recorded.py --scores DIR --data-root ucfcrime=DIR --data-root xdviolence=DIR ...
    python benchmarks/recorded.py --tables          only writes the tables into the READMEs

``--scores`` has the files that are named below, as their authors publish them (packed one file a method where they are
many); they are no part of the repository. The figures go to ``results/vadbench_results/recorded.json``: leaderboards
with every metric, and the tables of the benchmark ``recorded``.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from marked import between
from tabulate import tabulate

from vadbench.base.files import write_text
from vadbench.base.needs import Supervision
from vadbench.benchmarks.parser import open_benchmark
from vadbench.harness.import_scores import ScoresRequest, import_scores
from vadbench.metrics.definitions import DEFINITIONS
from vadbench.plugins.registry import installed
from vadbench.records.record import RecordedSource
from vadbench.tables.evaluations import collect
from vadbench.tables.formats import render
from vadbench.tables.leaderboard import leaderboards
from vadbench.tables.paper import paper_tables
from vadbench.tables.table import Table, TableCell, tables_from_json, to_json

ROOT = Path(__file__).resolve().parents[1]
RECORDED = ROOT / "results" / "vadbench_results" / "recorded.json"
BENCHMARK = "recorded"
SHORT = ("recorded/ucfcrime", "UCF-Crime, AUC", "AUC")
"""The table that the README shows, its heading and its headline metric."""
MARKS = "<!-- recorded scores: written by benchmarks/recorded.py -->", "<!-- end of recorded scores -->"

PEL4VAD = RecordedSource(
    source="github.com/soniarubiollamas/PEL4VAD", licence="MIT", commit="c95648d", saw="Kinetics, by its I3D features"
)
URF = RecordedSource(source="github.com/Neko1t/agentic-VAD", licence="none stated", commit="66d11a7")
VADTREE = RecordedSource(source="github.com/wenlongli10/VADTree", licence="none stated", commit="0b5c54e")
VARIANT = RecordedSource(source="github.com/yatoyun/PEL4VAD-test", licence="MIT")


@dataclass(frozen=True)
class Import:
    """One import: a file, what it is of, and the rules under which it is measured."""

    file: str
    name: str
    dataset: str
    source: RecordedSource
    supervision: Supervision = "weak"
    post: str = ""
    rules: tuple[str, ...] = ()
    own_truth: bool = False
    tolerance: int | None = None


_GAUSSIAN, _VADTREE = "gaussian(10)", "logistic, round(4)"
_AS_PEL4VAD = ("protocol.tail=rows", "protocol.boundaries=vadclip")
_ONE_CLASS = ("protocol.partition=one-class",)
IMPORTS = (
    Import("pel4vad_ucf_test290_stride16_all_good.npz", "pel4vad", "ucfcrime", PEL4VAD),
    Import("pel4vad_ucf_test290_stride16_all_good.npz", "pel4vad", "ucfcrime", PEL4VAD, rules=_AS_PEL4VAD),
    Import("pel4vad_ucf_test290_stride16_no_OPT.npz", "pel4vad-unsmoothed", "ucfcrime", PEL4VAD),
    Import("yatoyun_ucf_clip_i3d.npz", "pel4vad-clip-i3d", "ucfcrime", VARIANT),
    Import("yatoyun_ucf_i3d_only.npz", "pel4vad-i3d", "ucfcrime", VARIANT),
    Import("yatoyun_xd.npz", "pel4vad-clip-i3d", "xdviolence", VARIANT),
    Import("yatoyun_sht.npz", "pel4vad-clip-i3d", "shanghaitech", VARIANT, rules=("protocol.tail=rows",)),
    *(
        Import(f"urf_hvaa_{short}.json", "urf-hvaa", dataset, URF, "training-free", post)
        for short, dataset in (("ucf", "ucfcrime"), ("xd", "xdviolence"))
        for post in (_GAUSSIAN, "")
    ),
    *(
        Import("urf_hvaa_msad.json", "urf-hvaa", "msad", URF, "training-free", post, _ONE_CLASS, tolerance=201)
        for post in (_GAUSSIAN, "")
    ),
    *(
        Import("urf_hvaa_ubnormal.json", "urf-hvaa", "ubnormal", URF, "training-free", post, own_truth=True)
        for post in (_GAUSSIAN, "")
    ),
    Import("urf_hvaa_ucf.json", "urf-hvaa", "ucfcrime", URF, "training-free", _GAUSSIAN, own_truth=True),
    Import(
        "urf_hvaa_msad.json",
        "urf-hvaa",
        "msad",
        URF,
        "training-free",
        _GAUSSIAN,
        (*_ONE_CLASS, "protocol.tail=zero"),
        own_truth=True,
        tolerance=201,
    ),
    Import("vadtree_ucf_coarse_raw.json", "vadtree-coarse", "ucfcrime", VADTREE, "training-free", _VADTREE),
    Import("vadtree_msad_final_ensemble.json", "vadtree", "msad", VADTREE, "training-free", _VADTREE),
    Import("vadtree_msad_final_ensemble.json", "vadtree", "msad", VADTREE, "training-free", _VADTREE, own_truth=True),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scores", type=Path, help="folder of the files of scores")
    parser.add_argument("--data-root", action="append", default=[], metavar="DATASET=DIR", help="lists of a data set")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "runs" / "recorded", help="for run folders")
    parser.add_argument("--tables", action="store_true", help="only write the tables again")
    options = parser.parse_args()
    if not options.tables:
        if options.scores is None:
            parser.error("name the folder of the files with --scores")
        roots = {name: Path(folder) for name, _, folder in (text.partition("=") for text in options.data_root)}
        for entry in IMPORTS:
            _import(entry, options.scores, roots, options.out)
        write_text(RECORDED, _tables(options.out))
    for path, text in pages().items():
        write_text(path, text)


def _import(entry: Import, scores: Path, roots: dict[str, Path], out: Path) -> None:
    path = scores / entry.file
    request = ScoresRequest(
        name=entry.name,
        dataset=entry.dataset,
        paths=[path],
        data_root=roots.get(entry.dataset),
        assignments=entry.rules,
        truth=str(path) if entry.own_truth else None,
        post=entry.post or None,
        tolerance=entry.tolerance,
        supervision=entry.supervision,
        source=entry.source,
        out=out,
    )
    outcome = import_scores(request, installed())
    auc = outcome.record.metrics["AUC"].value
    print(f"{entry.name} on {entry.dataset}{outcome.record.marks}: AUC {auc}", flush=True)


def _tables(out: Path) -> str:
    """Return leaderboards with every metric of each group of comparable scores, and the tables of the benchmark."""
    evaluations, problems = collect(out)
    if problems:
        raise ValueError("; ".join(problems))
    headline = {name: installed().dataset(name).headline for name in {e.record.dataset for e in evaluations}}
    boards, _ = leaderboards(evaluations, headline.__getitem__, shown=tuple(DEFINITIONS))
    benchmark = open_benchmark(BENCHMARK, installed())
    drawn, _ = paper_tables(benchmark, BENCHMARK, benchmark.tables, evaluations, out)
    return to_json([*drawn, *boards])


def pages() -> dict[Path, str]:
    """The files that show committed figures, with their tables made new."""
    tables = tables_from_json(RECORDED.read_text(encoding="utf-8"))
    readme, other = ROOT / "README.md", ROOT / "results" / "README.md"
    name, title, headline = SHORT
    short = _short(next(t for t in tables if t.id == name), title, headline)
    wide = render([t for t in tables if t.id], "md")
    return {readme: between(readme, f"{short}\n", MARKS), other: between(other, wide, MARKS)}


def _short(table: Table, title: str, headline: str) -> str:
    """Return the table of the README: published headline, the same from the scores, and AUC within videos."""
    shown = [[c.metric for c in table.columns].index(metric) for metric in (headline, "AUC/within")]
    rows = []
    for row in (*table.rows, *table.blind):
        cells = [row.cells[i] for i in shown]
        published = cells[0].published
        name = f"*{row.label}*" if row in table.blind else row.label
        rows.append([name, row.supervision, published.printed if published else "", *map(_figure, cells)])
    return tabulate(
        rows,
        [title, "supervision", "published", "from its scores", "AUC within videos"],
        tablefmt="github",
        colalign=("left", "left", "right", "right", "right"),
        disable_numparse=True,
    )


def _figure(cell: TableCell) -> str:
    found = cell.reproduced
    if found is None or found.mean is None:
        return ""
    interval = "" if found.low is None else f" [{100 * found.low:.1f}, {100 * (found.high or 0):.1f}]"
    return f"{100 * found.mean:.2f}{interval}"


if __name__ == "__main__":
    main()
