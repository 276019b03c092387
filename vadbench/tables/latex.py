"""Render tables as LaTeX, with the packages booktabs and graphicx."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from vadbench.base.text import latex
from vadbench.tables.layout import COUNTS, INTERVALS, TIED, PrintedEntry, PrintedTable, legend

WIDEST = 8
"""Maximum number of printed columns side by side; more continue below."""


def to_latex(layout: PrintedTable) -> str:
    """Return a ``table`` with its caption, shrunk to the line if it is wider. Intervals are omitted to save space."""
    lines = [
        r"% needs \usepackage{booktabs,graphicx}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{latex(layout.title)}}}",
        r"\small",
    ]
    for columns in _pieces(layout):
        lines += [r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"]
        lines += [*_tabular(layout, columns), r"}\par\medskip"]
    reading = [text.replace(f"; {INTERVALS}", "") for text in layout.reading]
    below = [latex(text) for text in (layout.note, *reading) if text]
    if layout.ranked:
        # The legend is trusted text; only its signs need LaTeX's spelling.
        words = latex(legend("BEST", "SECOND"))
        below.append(words.replace("BEST", r"\textbf{bold}").replace("SECOND", r"\underline{underlined}"))
    below += [latex(text) for text in layout.remarks]
    below += [rf"$^{{{letter}}}$ {latex(text)}" for letter, text in layout.footnotes]
    below += [latex(layout.missing)] if layout.missing else []
    lines += [r"\footnotesize\raggedright", *(rf"{text}\par" for text in below), r"\end{table}"]
    return "\n".join(lines) + "\n"


def _pieces(layout: PrintedTable) -> Iterator[range]:
    """Yield the indices of the metrics that are printed side by side."""
    count = max(1, WIDEST // len(layout.parts))
    for start in range(0, len(layout.columns), count):
        yield range(start, min(start + count, len(layout.columns)))


def _tabular(layout: PrintedTable, metrics: Sequence[int]) -> Iterator[str]:
    titles = [latex(layout.columns[i].heading) for i in metrics]
    parts, lead = len(layout.parts), len(layout.lead)
    span = lead + parts * len(titles)
    own = "".join("r" if name in COUNTS else "l" for name in layout.lead)
    yield rf"\begin{{tabular}}{{{own}{'r' * (span - lead)}}}"
    yield r"\toprule"
    names = [latex(name) for name in layout.lead]
    if parts == 1:
        yield _line([*names, *titles])
    else:
        yield _line([*[""] * lead, *(rf"\multicolumn{{{parts}}}{{c}}{{{title}}}" for title in titles)])
        ends = [lead + parts * (i + 1) for i in range(len(titles))]
        yield " ".join(rf"\cmidrule(lr){{{end - parts + 1}-{end}}}" for end in ends)
        yield _line([*names, *map(latex, layout.parts * len(titles))])
    yield r"\midrule"
    # Entries of the metrics printed here, after the row's own.
    chosen = [*range(lead), *(lead + parts * i + k for i in metrics for k in range(parts))]
    for line in layout.lines:
        if line.heading:
            yield _line([rf"\multicolumn{{{span}}}{{l}}{{\textit{{{latex(line.heading)}}}}}"])
        else:
            yield _line([_entry(line.entries[i]) for i in chosen])
    yield r"\bottomrule"
    yield r"\end{tabular}"


def _line(cells: Sequence[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _entry(entry: PrintedEntry) -> str:
    text = re.sub(r"^-(?=\d)", "$-$", latex(entry.figure))
    shown = {"best": rf"\textbf{{{text}}}", "second": rf"\underline{{{text}}}"}.get(entry.emphasis, text)
    tied = f" {latex(TIED)}" if entry.tied else ""
    marks = rf"$^{{{','.join(entry.marks)}}}$" if entry.marks else ""
    return f"{shown}{tied}{marks}"
