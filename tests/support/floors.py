"""The oldest versions that ``pyproject.toml`` allows, as constraints of pip; its arguments are extras to take in.

``make test-floors`` installs them. Derived from the bounds, so that the two cannot differ.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

_BOUND = re.compile(r"([\w.-]+)(?:\[[\w,-]+\])?>=([\w.]+)")


def floors(file: Path, extras: list[str]) -> Iterator[str]:
    """Yield ``name==version`` for each lower bound of the dependencies and of these extras.

    Raises:
        ValueError: a dependency has no lower bound.
    """
    project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(d for extra in extras for d in project["optional-dependencies"][extra])]
    for requirement in wanted:
        found = _BOUND.match(requirement)
        if found is None:
            raise ValueError(f"{file}: expected a lower bound, as in numpy>=2.0, found {requirement}")
        yield f"{found[1]}=={found[2]}"


if __name__ == "__main__":
    print("\n".join(floors(Path(__file__).parents[2] / "pyproject.toml", sys.argv[1:])))
