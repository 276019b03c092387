"""Where the tests find files of the repository."""

from pathlib import Path

SUPPORT = Path(__file__).resolve().parent
ROOT = SUPPORT.parents[1]

# Plugin files: ``tiny`` and ``linear``, a data set of videos and folders of frames, data sets with other
# divisions and ground truths, one for recorded scores, and what breaks the checks.
PLUGIN = SUPPORT / "tiny_plugin.py"
INPUTS = SUPPORT / "inputs_plugin.py"
DIVIDED = SUPPORT / "divided_plugin.py"
FILMED = SUPPORT / "filmed_plugin.py"
BROKEN_METHODS = SUPPORT / "broken_methods.py"
BROKEN_KINDS = SUPPORT / "broken_kinds.py"
BROKEN_DATASETS = SUPPORT / "broken_datasets.py"

# Small plugins that each show one kind of method or data set.
KINDS = SUPPORT.parent / "plugins"
