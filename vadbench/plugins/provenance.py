"""The origin of the code behind a result: the distribution, version and commit of a plugin, and a digest of its files.

vadbench's own plugins count by the ``version`` that they declare, however they are installed. No author raises a
version thirty times an hour while writing a method, so the code of third parties belongs to a run's key: the version of
an installed distribution, a digest of the files of one that is being edited.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import Distribution
from pathlib import Path

from vadbench.base.hashing import file_digest

OWN = "vadbench"
"""The distribution whose plugins count by their declared version."""
SCRATCH = "--plugin"
"""Name of the distribution of a file that is not installed."""
_LEFT_OUT = frozenset({"build", "conftest", "dist", "docs", "examples", "noxfile", "setup", "test", "tests"})
"""Names beside the packages of a project that are not imported."""
_SHORT = 12


@dataclass(frozen=True)
class Provenance:
    """The origin of the code of a plugin, as in a run's record.

    Args:
        distribution: its name, ``--plugin`` for a scratch file, ``unknown`` where it is not known.
        version: of the distribution; empty where it has none.
        commit: of the checkout or the repository it was installed from, with ``+changes`` where files differ; empty
            without one.
        digest: 12 hex digits of its files.
        identity: what enters keys, empty for vadbench's own code: the digest of files that their author edits, the
            name and the version of an installed distribution.
    """

    __pydantic_config__ = {"extra": "forbid"}  # in a record
    distribution: str
    version: str
    commit: str
    digest: str
    identity: str

    @property
    def edited(self) -> bool:
        """True where keys depend on the files, which are the author's own and not an installed copy."""
        return self.identity == self.digest


def provenance(distribution: Distribution | None, packages: Iterable[str], file: Path | None = None) -> Provenance:
    """Return the origin of the code of a plugin.

    Args:
        distribution: the one whose entry point names the plugin, if any does.
        packages: names of the top-level packages and modules that the plugin is made of.
        file: of a scratch plugin (``--plugin``).
    """
    own = distribution is not None and distribution.name == OWN
    tops = set(packages)
    if distribution is not None and not own:
        tops |= set((distribution.read_text("top_level.txt") or "").split())
    roots = {root for top in tops if (root := _root(top)) is not None}
    if file is not None:
        digest = files_digest({r for r in roots if not _copied(r)} | _with_imports(file.resolve()))
        return Provenance(SCRATCH, "", "", digest, identity=digest)
    listed = distribution.files or () if distribution is not None else ()
    names = {_entry(root).name for root in roots}  # looking up where each of a thousand files is takes longer
    copies = {Path(str(path.locate())).resolve() for path in listed if path.name in names}
    edited = [root for root in roots if not (_copied(root) or _entry(root) in copies)]
    # Files that an author edits may import anything beside them. Of vadbench only the plugin's own packages count.
    digest = files_digest(roots if own else {*roots, *_beside(edited)})
    if distribution is None:
        return Provenance("unknown", "", "", digest, identity=digest)
    where = commit(min(edited).parent) if edited else _installed_commit(distribution)
    identity = "" if own else digest if edited else f"{distribution.name}-{distribution.version}"
    return Provenance(distribution.name, distribution.version, where, digest, identity)


def files_digest(roots: Iterable[Path]) -> str:
    """Return 12 hex digits of the names and contents of files, and of all files below folders.

    Hidden files and compiled Python are left out.
    """
    total = hashlib.sha256()
    for root in sorted(set(roots), key=lambda p: (p.name, str(p))):
        for path in _files(root):
            name = f"{root.name}/{path.relative_to(root).as_posix()}"
            total.update(f"{name}\0{file_digest(path)}\n".encode())
    return total.hexdigest()[:_SHORT]


def commit(folder: Path) -> str:
    """Return the git commit of the checkout of a folder, with ``+changes`` if files differ; empty without one."""
    try:
        head, changed = (
            subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, timeout=10, check=True).stdout
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "-uno"])
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return head.strip() + ("+changes" if changed.strip() else "")


def _root(top: str) -> Path | None:
    """Return the folder of a package or the file of a module, without importing it."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        module = sys.modules.get(top)
        found = getattr(module, "__file__", None)
        return Path(found).resolve() if found else None
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).resolve()
    return Path(spec.origin).resolve() if spec.has_location and spec.origin else None


def _entry(root: Path) -> Path:
    return root / "__init__.py" if root.is_dir() else root


def _copied(root: Path) -> bool:
    return any(part in ("site-packages", "dist-packages") for part in root.parts)


def _with_imports(file: Path) -> set[Path]:
    """Return a scratch file and what it imports from beside it, as far as its text says."""
    found: set[Path] = set()
    waiting = [file]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for source in [path] if path.is_file() else sorted(path.rglob("*.py")):
            for top in _names_imported_by(source):
                near = (file.parent / f"{top}.py", file.parent / top)
                waiting += [p for p in near if _entry(p).is_file()]
    return found


def _names_imported_by(source: Path) -> frozenset[str]:
    try:
        return _imported_names(source.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return frozenset()  # importing it fails, or has failed


@lru_cache(maxsize=256)
def _imported_names(text: bytes) -> frozenset[str]:
    """Return the top-level names that a module imports; a run asks several times what its code is."""
    nodes = list(ast.walk(ast.parse(text)))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return frozenset(name.partition(".")[0] for name in names)


def _beside(roots: Iterable[Path]) -> Iterator[Path]:
    """Yield the packages and modules beside others; in a folder called src all files belong to them."""
    for folder in {root.parent for root in roots}:
        for path in folder.iterdir():
            module = folder.name == "src" or path.suffix == ".py" or (path / "__init__.py").is_file()
            if module and path.stem not in _LEFT_OUT and not path.name.startswith("."):
                yield path


def _files(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
        return
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        hidden = any(part.startswith(".") or part == "__pycache__" for part in parts)
        if not hidden and path.suffix != ".pyc" and path.is_file():
            yield path


def _installed_commit(distribution: Distribution) -> str:
    """Return the commit of the repository that a distribution was installed from, as pip noted it."""
    try:
        return str(json.loads(distribution.read_text("direct_url.json") or "{}")["vcs_info"]["commit_id"])
    except (ValueError, TypeError, KeyError):
        return ""
