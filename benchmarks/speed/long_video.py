"""Memory and time of one long video: what scoring it takes above its rows, for each method that relates rows.

    python benchmarks/speed/long_video.py [--rows 65536] [--method rtfm] [--json FILE]

Methods have their published sizes and random weights, rows are drawn; each is scored in a process of its own, behind a
video of 512 rows, whose memory does not count. 65,536 rows are ten hours at 30 frames a second and 16 frames a row.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from machine import environment, words
from measuring import alone, now_gb, once, peak_gb
from tabulate import tabulate
from works.scoring import Drawn, built
from works.work import Options

from vadbench.base.files import write_json

METHODS = ("anomalyclip", "vadclip", "rtfm", "clip-tsa", "urdmu")
HEADS = ["method", "rows", "CPU s", "KB a row above its rows"]


def main() -> None:
    """Print the table, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default=65_536, type=int)
    parser.add_argument("--method", action="append", choices=METHODS, help="may be repeated  (default: all)")
    parser.add_argument("--threads", default=1, type=int)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    options = parser.parse_args()
    made_on = environment(torch.device("cpu"))
    print(words(made_on))
    found = {name: alone(options.threads, measure, name, options.rows) for name in options.method or METHODS}
    rows = [[name, f"{options.rows:,}", f"{cpu:.1f}", f"{kb:.1f}"] for name, (cpu, kb) in found.items()]
    print(tabulate(rows, HEADS, tablefmt="github", disable_numparse=True))
    if options.json:
        write_json(options.json, {"rows": options.rows, "environment": made_on, "methods": found})


def measure(name: str, rows: int) -> tuple[float, float]:
    """CPU seconds of a video, and KB for each of its rows that are needed beside these."""
    method = built(name, Options()).eval()

    def video(length: int) -> Drawn:
        return Drawn([length], method.config.rows.stride, method.task.dim)

    video(512).scored_by(method, "fp32")
    drawn = video(rows)
    before = now_gb()
    _, cpu = once(lambda: drawn.scored_by(method, "fp32"))
    return cpu, (peak_gb() - before) * 2**20 / rows


if __name__ == "__main__":
    main()
