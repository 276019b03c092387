"""Page in one file: its style and script, allowed by their hashes, and the data that they show."""

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
    """Return an HTML document that shows data.

    Args:
        title: title of the browser's window.
        body: file of this package with the content of ``<body>``.
        scripts: files of this package that are joined to one script, in this order.
        data: data for the script; anything that JSON can encode, except NaN and infinity.
    """
    shown = f'{asset(body)}\n<script type="application/json" id="data">{embedded(data)}</script>\n'
    return document(title, shown, '"use strict";\n' + "\n".join(asset(name) for name in scripts))


def document(title: str, body: str, script: str = "") -> str:
    """Return an HTML document in the style that all pages share.

    A strict content security policy allows the one style and the script, if any, by their hashes: nothing else is run
    or loaded, even if a name in it became markup.

    Args:
        title: title of the browser's window.
        body: markup, in which all text from other sources is escaped.
        script: runs after the body is loaded.
    """
    style = asset("page.css")
    run = f" script-src '{_digest(script)}';" if script else ""
    policy = (
        f"default-src 'none';{run} style-src '{_digest(style)}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{html.escape(title)}</title>\n"
        f"<style>{style}</style>\n</head>\n<body>\n{body}"
        f"{f'<script>{script}</script>' if script else ''}\n</body>\n</html>\n"
    )


def embedded(data: Any) -> str:
    """Return JSON that is safe inside a ``<script>`` element for any strings: ASCII without ``<``, ``>``, ``&``.

    >>> embedded("</script>")
    '"\\\\u003c/script\\\\u003e"'

    Raises:
        ValueError: a number is not finite.
    """
    return json.dumps(data, separators=(",", ":"), ensure_ascii=True, allow_nan=False).translate(_UNSAFE)


def asset(name: str) -> str:
    """Return the text of a file of this package."""
    return (files("vadbench.report") / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"
