"""The architecture as the imports have it: which stage imports which, drawn from the code.

``python docs/architecture.py FILE.svg`` writes the picture; the documentation draws it anew each time it is built.
The order of the stages stands in ``pyproject.toml``, where import-linter reads it too.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import grimp
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "vadbench"
NAMES, CELL = 110, 30
"""Width of the column of names and of a cell of the picture, in pixels."""


def stages() -> list[str]:
    """The stages in the order in which data passes through them; a module imports from its own and earlier ones."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    (layers,) = [c["layers"] for c in settings["contracts"] if c["type"] == "layers"]
    return [name for name in reversed(layers) if not name.startswith("_")]


def imports() -> Counter[tuple[str, str]]:
    """How many imports of modules each stage makes from each other stage."""
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    pairs: Counter[tuple[str, str]] = Counter()
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            ends = [name.split(".")[1] for name in (module, imported) if "." in name]
            if len(ends) == 2 and ends[0] != ends[1]:
                pairs[ends[0], ends[1]] += 1
    return pairs


def picture() -> str:
    """An SVG: a row for each stage, and in it how many imports it makes from each stage above."""
    order, found = stages(), imports()
    width, height = NAMES + CELL * len(order) + 10, CELL * len(order) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif"'
        ' font-size="13" fill="currentColor" role="img">',
        "<title>Imports between the stages of vadbench: rows import from columns</title>",
    ]
    most = max(found.values())
    for row, name in enumerate(order):
        y = CELL * row
        parts.append(f'<text x="{NAMES - 8}" y="{y + 20}" text-anchor="end">{name}</text>')
        for column, other in enumerate(order[:row]):
            x, count = NAMES + CELL * column, found[name, other]
            shade = 0.06 if not count else 0.2 + 0.6 * count / most
            parts.append(
                f'<rect x="{x + 1}" y="{y + 1}" width="{CELL - 2}" height="{CELL - 2}" rx="4" fill="#6366f1"'
                f' fill-opacity="{shade:.2f}"><title>{name} imports {other}: {count}</title></rect>'
            )
            if count:
                parts.append(f'<text x="{x + CELL / 2}" y="{y + 20}" text-anchor="middle">{count}</text>')
        parts.append(f'<rect x="{NAMES + CELL * row + 1}" y="{y + 1}" width="28" height="28" rx="4" fill="#6366f1"/>')
    return "\n".join([*parts, "</svg>"])


def summary(stage: str) -> str:
    """The first paragraph of a stage's docstring."""
    path = ROOT / PACKAGE / stage
    text = (path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py").read_text("utf-8")
    return " ".join((ast.get_docstring(ast.parse(text)) or "").split("\n\n")[0].split())


def table() -> str:
    """Every stage with its modules and its purpose, as a Markdown table."""
    rows = ["| stage | modules | purpose |", "| --- | ---: | --- |"]
    for stage in stages():
        folder = ROOT / PACKAGE / stage
        name, count = (f"{stage}/", len(list(folder.rglob("*.py")))) if folder.is_dir() else (f"{stage}.py", 1)
        rows.append(f"| `{name}` | {count} | {summary(stage)} |")
    return "\n".join(rows)


class _Stages(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes(table())


class _Picture(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        return [nodes.raw("", picture(), format="html")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_directive("vadbench-stages", _Stages)
    app.add_directive("vadbench-imports", _Picture)
    return {"parallel_read_safe": True}


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(picture(), encoding="utf-8")
