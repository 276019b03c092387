"""Cells and files of benchmarks."""

from hypothesis import strategies as st

from vadbench.benchmarks.schema import Cell

FILE = '''title = "t"  # not [[a]] table {
paper = """
[[tables]]
"""

[[tables]]
id = "1"
title = "One, [two] {"
columns = [
  { dataset = "tiny", metric = "AUC" },  # a comment, with a comma
  { dataset = 'tiny', metric = "AP" },
]
rows = [
  { label = "a \\"quoted\\" ] }", method = "linear", set = { recipe.epochs = 2, "rows.stride" = 4 } },
  # between two rows
  { label = "b", method = "zero-shot" },
]

[[tables]]
id = "2"
title = "Two"
columns = [{ dataset = "other", metric = "AUC", train = "tiny" }]
[[tables.rows]]
label = "c"
method = "linear"
[tables.rows.set]
width = 3
[[tables.rows]]
label = "d"
method = "random"
'''


TEXTS = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=6)


def cell(**changes):
    base = {"method": "linear", "dataset": "tiny", "trained_on": "tiny", "protocol": "native", "settings": ()}
    return Cell(**{**base, "clip": "small", "clip_weights": "random:0", "seed": 0, **changes})
