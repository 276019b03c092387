"""Settings of the documentation: ``make docs`` builds it into ``docs/_build`` with warnings as errors."""

import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

import vadbench
from vadbench.base.config import Settings
from vadbench.base.naming import written

sys.path.insert(0, str(Path(__file__).parent))

project = "vadbench"
author = "vadbench developers"
copyright = "2026, vadbench developers"
version = release = vadbench.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "architecture",
    "generated",
    "mathml",
    "place",
]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # docs/execute.py runs it, and a test does
exclude_patterns = ["_build"]
suppress_warnings = ["myst.xref_missing"]

autodoc_member_order = "bysource"
autodoc_default_options = {"exclude-members": "model_config"}
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = True

html_math_renderer = "mathml"
html_theme = "furo"
html_title = f"vadbench {release}"
html_static_path = ["_static"]


def _one_sentence(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Keep napoleon from taking what stands before a colon for the type of an attribute: types are annotations here."""
    if what in ("attribute", "data", "property") and any(lines):
        lines[:0] = ["..", ""]  # it looks at the first line, and an empty comment shows nothing


def _with_fields(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Say of a class of settings what each of its fields means."""
    if what != "class" or not (isinstance(thing, type) and issubclass(thing, Settings)):
        return
    lines.append("")
    for field_name, field in thing.model_fields.items():
        if field.description:
            meaning = re.sub(r"([*`_|\\])", r"\\\1", field.description)
            lines.append(f"- ``{field_name}`` (``{written(field.get_default())}``): {meaning}")
    lines.append("")


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    # Napoleon comes with the usual priority of 500.
    app.connect("autodoc-process-docstring", _one_sentence, priority=400)
    app.connect("autodoc-process-docstring", _with_fields, priority=600)
