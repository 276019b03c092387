"""Settings of the documentation: ``make docs`` builds it into ``docs/_build`` with warnings as errors."""

import sys
from pathlib import Path

import vadbench

sys.path.insert(0, str(Path(__file__).parent))

project = "vadbench"
author = "vadbench developers"
copyright = "2026, vadbench developers"
version = release = vadbench.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "generated",
]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
suppress_warnings = ["myst.xref_missing"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = True

html_theme = "furo"
html_title = f"vadbench {release}"
html_static_path = ["_static"]
