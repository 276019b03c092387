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
