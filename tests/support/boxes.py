"""Tables of boxes."""

import pandas as pd

from vadbench.features.boxes import COLUMNS

LENGTHS = {"a": 37, "b": 5, "007": 16}


def table(*rows):
    return pd.DataFrame(rows, columns=COLUMNS)


def write(path, *rows):
    frame = table(*rows)
    frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path)
    return path


GOOD = ("a", 0, 1, 2, 20, 30, 0.5)


def changed(**values):
    return tuple(values.get(name, value) for name, value in zip(COLUMNS, GOOD, strict=True))
