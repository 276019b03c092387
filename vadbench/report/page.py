"""A page as one file: our style and script, named by their hashes, and the data that they show."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

_UNSAFE = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def render_page(title: str, body: str, scripts: Sequence[str], data: Any) -> str:
    """An HTML document that shows data.

    A strict content security policy names the one style and the one script by their hashes: nothing else is run or
    loaded, even if data became markup.

    Args:
        title: of the browser's window.
        body: file of this package with what stands between ``<body>`` and ``</body>``.
        scripts: files of this package that make one script, in this order.
        data: what the script shows; anything that JSON has, NaN and infinity excepted.
    """
    style = asset("page.css")
    script = '"use strict";\n' + "\n".join(asset(name) for name in scripts)
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; img-src data:;"
        " base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{html.escape(title)}</title>\n"
        f"<style>{style}</style>\n</head>\n<body>\n{asset(body)}\n"
        f'<script type="application/json" id="data">{embedded(data)}</script>\n'
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def embedded(data: Any) -> str:
    """JSON that may stand inside a ``<script>`` element, whatever its strings say: ASCII without ``<``, ``>``, ``&``.

    >>> embedded("</script>")
    '"\\\\u003c/script\\\\u003e"'

    Raises:
        ValueError: a number is not finite.
    """
    return json.dumps(data, separators=(",", ":"), ensure_ascii=True, allow_nan=False).translate(_UNSAFE)


def asset(name: str) -> str:
    """The text of a file of this package."""
    return (files("vadbench.report") / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"
