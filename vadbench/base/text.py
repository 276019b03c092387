"""Names and notes from anywhere made harmless in each format: no markup, no control characters, no formulas."""

from __future__ import annotations

import html
import re
import unicodedata

_MARKDOWN = re.compile(r"([\\`*_\[\]|~$])")
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    # Written \$ it needs a font that small installations have to build.
    "$": r"$\mathdollar$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "±": r"$\pm$",
    "≈": r"$\approx$",
    # A line that begins with one of these would be taken for an argument of the line break before it.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "`": "'",
}
ROUNDING, NEAR_ONE = 1e-12, 1e-3
"""Distances from 1 between which a score is told by that distance; a smaller one may come of rounding alone."""


def plain(text: str) -> str:
    """Return one line without control characters: line breaks become spaces, marks of text direction are removed.

    >>> plain("two\\nlines, \\x1b[31mred")
    'two lines, [31mred'
    """
    kept = (" " if c.isspace() else c for c in text if c.isspace() or unicodedata.category(c) not in ("Cc", "Cf", "Cs"))
    return "".join(kept)


def amount(value: float) -> str:
    """Return a number for readers: a large one without decimals, a small one with four digits.

    >>> amount(1200), amount(0.01234567), amount(12)
    ('1,200', '0.01235', '12')
    """
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def score_text(value: float, form: str) -> str:
    """Return a score for readers; one a little below 1, which would be rounded to 1, as its distance from it.

    >>> score_text(0.25, ".3f"), score_text(1, ".4g"), score_text(0.99999991, ".4g")
    ('0.250', '1', '1 - 9e-08')
    """
    below = 1 - value
    return f"1 - {below:.2g}" if ROUNDING < below < NEAR_ONE else format(value, form)


def counted(count: int, what: str) -> str:
    """Return how many there are of something whose plural ends in s.

    >>> counted(1, "video"), counted(1200, "crop")
    ('1 video', '1,200 crops')
    """
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def spaced(frames: int) -> str:
    """Return the distance of rows in words.

    >>> spaced(1), spaced(16)
    ('every frame', 'every 16 frames')
    """
    return "every frame" if frames == 1 else f"every {frames} frames"


def size(count: int) -> str:
    """Return a number of bytes for readers.

    >>> size(812), size(12_345), size(3_456_000_000)
    ('812 B', '12.3 kB', '3.46 GB')
    """
    value, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:.3g} {unit}"


def markdown(text: str) -> str:
    """Escape a text for a cell of a Markdown table, where HTML is markup too.

    >>> markdown("a_b | <b>")
    'a\\\\_b \\\\| &lt;b&gt;'
    """
    return _MARKDOWN.sub(r"\\\1", html.escape(plain(text), quote=False))


def latex(text: str) -> str:
    """Escape a text for LaTeX; letters that pdflatex does not know become their code points.

    >>> latex("50 % & é א")
    '50 \\\\% \\\\& é {[}U+05D0{]}'
    """
    letters = (_LATEX.get(c) or (c if _known_to_latex(c) else f"{{[}}U+{ord(c):04X}{{]}}") for c in plain(text))
    # Two hyphens would become a dash.
    return "".join(letters).replace("--", "-{}-").replace("--", "-{}-")


def html_text(text: str) -> str:
    """Escape a text for an HTML element or a quoted attribute."""
    return html.escape(plain(text))


def spreadsheet(text: str) -> str:
    """Escape a text for a cell of a csv file: an apostrophe is put before anything that looks like a formula.

    >>> spreadsheet("=1+1"), spreadsheet("vadclip")
    ("'=1+1", 'vadclip')
    """
    line = plain(text)
    return f"'{line}" if line.lstrip()[:1] in ("=", "+", "-", "@") and line.strip() else line


def _known_to_latex(c: str) -> bool:
    accented = "À" <= c <= "ÿ" and unicodedata.decomposition(c) != ""
    return c.isascii() or accented or c in "ßæøåÆØÅ"
