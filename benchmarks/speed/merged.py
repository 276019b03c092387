"""The tables of ``README.md`` here, made of the records of all processors among the results.

    python benchmarks/speed/merged.py

Seconds of two machines are not compared: what stands side by side are ratios of calls in turns, a share of the literal
version's seconds and multiples of the floor, and each processor has tables of seconds by itself. Records are those that
``all.py --record`` and ``precision.py --record`` wrote; what ``gpu_check.py`` writes has neither and is left out.
"""

from __future__ import annotations

from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import growth
from tabulate import tabulate
from turns import spread

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "results" / "vadbench_results"
README = Path(__file__).with_name("README.md")
END = "<!-- end -->"


def main() -> None:
    """Write the tables."""
    from vadbench.base.files import write_text

    for path, text in pages().items():
        write_text(path, text)


def pages() -> dict[Path, str]:
    """Return the page that shows the committed records, with its tables made new."""
    from vadbench.base.files import read_json

    records = [read_json(path) for path in sorted(RESULTS.glob("speed-*.json"))]
    records = [record for record in records if "seconds" in record]
    reduced = [read_json(path) for path in sorted(RESULTS.glob("precision-*.json"))]
    text = README.read_text(encoding="utf-8")
    text = filled(text, "ratios", ratios(records))
    text = filled(text, "seconds", "\n\n".join(f"### {name(r)}\n\n{about(r)}\n\n{compared(r)}" for r in records))
    text = filled(text, "precision", "\n\n".join(f"{about(r)}\n\n{precision(r)}" for r in reduced))
    return {README: text}


def filled(text: str, name: str, content: str) -> str:
    """Return a text with other content between the marks of a name."""
    begin = f"<!-- {name}: written by benchmarks/speed/merged.py -->"
    before, begun, rest = text.partition(begin)
    _, ended, after = rest.partition(END)
    if not begun or not ended:
        raise ValueError(f"{README.name} must hold the lines '{begin}' and '{END}'")
    return f"{before}{begin}\n\n{content or 'No processor yet.'}\n\n{END}{after}"


def name(record: dict[str, Any]) -> str:
    """Return what the columns of a record are called: device or processor, threads and precision."""
    from machine import title

    settings, environment = record["settings"], record["environment"]
    device = f"{environment['device']}, " if settings["device"] == "cuda" else ""
    precision = "" if settings["precision"] == "fp32" else f", {settings['precision']}"
    return f"{device}{title(environment)}{precision}"


def about(record: dict[str, Any]) -> str:
    """Return how a record was made."""
    from machine import words

    kind = ", small sizes that are not to be compared" if record["settings"]["quick"] else ""
    made = record["environment"]
    commit, changed, _ = made["commit"].partition("+")
    at = f"{commit[:7]}{' with uncommitted changes' if changed else ''}"
    return f"Made in {record['seconds'] / 60:.0f} minutes at {at}{kind}: {words(made)}."


def clock(record: dict[str, Any]) -> int:
    """Return which of wall and CPU seconds are compared: on a GPU the processor mostly waits."""
    return 0 if record["settings"]["device"] == "cuda" else 1


def shares(entry: dict[str, Any], of: int) -> list[float]:
    """Return the ratios of the pairs of calls of ours and of the literal version."""
    return [ours[of] / literal[of] for ours, literal in zip(entry["calls"], entry["literal"]["calls"], strict=True)]


def ratios(records: list[dict[str, Any]]) -> str:
    """Return one table of all processors: share of the literal version, and times the floor."""
    if not records:
        return ""
    works = dict.fromkeys(entry["work"] for record in records for entry in record["figures"])
    rows = []
    for work in works:
        row = [work]
        for record in records:
            entry = next((e for e in record["figures"] if e["work"] == work), None)
            of = clock(record)
            row.append(spread(shares(entry, of), ".1%") if entry and entry["literal"] else "-")
            row.append(spread([call[of] / entry["floor"] for call in entry["calls"]]) if entry else "-")
        rows.append(row)
    heads = [f"{name(record)}: {what}" for record in records for what in ("share of literal", "times floor")]
    return tabulate(rows, ["work", *heads], tablefmt="github", disable_numparse=True)


def compared(record: dict[str, Any]) -> str:
    """Return the tables of one record: seconds of the works, and how they grow, or an empty text if it has none."""
    of = clock(record)
    shown = ("wall s", "CPU s")[of]
    rows = []
    for entry in record["figures"]:
        literal = entry["literal"]
        rows.append(
            [
                entry["work"],
                spread([call[0] for call in entry["calls"]]),
                spread([call[1] for call in entry["calls"]]),
                spread([call[of] for call in literal["calls"]]) if literal else "-",
                spread(shares(entry, of), ".1%") if literal else "-",
                f"{entry['floor']:.3g}",
                spread([call[of] / entry["floor"] for call in entry["calls"]]),
                f"{entry['peak_gb']:.2f}",
                *([] if of else [f"{entry['gpu_gb']:.2f}"]),
            ]
        )
    heads = ["work", "wall s", "CPU s", f"literal {shown}", "share", f"floor {shown}", "times floor", "peak GB"]
    heads += [] if of else ["GPU GB"]
    table = tabulate(rows, heads, tablefmt="github", disable_numparse=True) if rows else ""
    return "\n\n".join(filter(None, [table, growth.table(record)]))


def precision(record: dict[str, Any]) -> str:
    """Return the table of a record of ``precision.py``: AUC in percent, differences of the same seeds, and a step."""
    rows = []
    for entry in record["figures"]:
        areas = [[100 * value for value in entry["auc"][way]] for way in ("fp32", "bf16")]
        changed = [bf16 - fp32 for fp32, bf16 in zip(*areas, strict=True)]
        of = zip(entry["calls"]["fp32"], entry["calls"]["bf16"], strict=True)
        rows.append(
            [
                entry["method"],
                *(f"{fmean(values):.2f} ± {stdev(values) if len(values) > 1 else 0:.2f}" for values in areas),
                f"{fmean(changed):+.2f} ({min(changed):+.2f} to {max(changed):+.2f})",
                spread([bf16[1] / fp32[1] for fp32, bf16 in of], ".2f"),
            ]
        )
    heads = ["method", "AUC in fp32", "AUC in bf16", "bf16 less fp32", "step, CPU s of bf16 over fp32"]
    return tabulate(rows, heads, tablefmt="github", disable_numparse=True)


if __name__ == "__main__":
    main()
