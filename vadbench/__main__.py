"""``python -m vadbench``, the same as the ``vadbench`` script."""

from vadbench.cli import main

main()
