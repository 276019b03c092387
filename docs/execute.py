"""Runs the notebook of the documentation and keeps what its cells show: ``python docs/execute.py``."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

NOTEBOOK = Path(__file__).parent / "notebook.ipynb"
VIDEO = "test_007.mp4"
"""The test video of ``synthetic`` that stands for one's own."""


def executed(folder: Path) -> NotebookNode:
    """Return the notebook with what its cells show when they are run in a folder, which gets runs and results.

    Raises:
        CellExecutionError: a cell failed.
    """
    import vadbench

    vadbench.run("random", "synthetic", out=folder / "made", log=False)
    rendered = Path(os.environ["VADBENCH_CACHE"]) / "datasets" / "synthetic"
    shutil.copy(next(rendered.rglob(f"test/{VIDEO}")), folder / "my_video.mp4")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(folder)}}).execute()
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            # Progress, and what libraries say of the machine.
            cell.outputs = [o for o in cell.outputs if o.output_type != "stream" or o.name != "stderr"]
    notebook.metadata.language_info = {"name": "python"}
    return notebook


if __name__ == "__main__":
    if "VADBENCH_CACHE" not in os.environ:
        sys.exit("set VADBENCH_CACHE to a folder for the rendered videos and their features")
    with tempfile.TemporaryDirectory() as place:
        nbformat.write(executed(Path(place)), NOTEBOOK)
