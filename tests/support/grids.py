"""Benchmark files on the tiny data set, and what is asked of their runs."""

import sqlite3

HEAD = 'title = "Two methods"\nclip = "small"\nclip_weights = "random:0"\n'
SMALL = f"""{HEAD}seeds = [0, 2]
[[tables]]
id = "first"
title = "Bright squares"
columns = [{{ dataset = "tiny", metric = "AUC" }}, {{ dataset = "tiny", metric = "AP" }}]
rows = [
  {{ label = "linear", method = "linear" }},
  {{ label = "diverges", method = "diverges" }},
]
[tables.set]
recipe.epochs = 2
"""


SETTINGS = f"""{HEAD}seeds = [0]
[[tables]]
id = "1"
title = "One"
columns = [{{ dataset = "tiny", metric = "AUC" }}]
rows = [{{ label = "a", method = "METHOD", set = {{ SET }} }}]
"""
ONE = SETTINGS.replace("METHOD", "random").replace("SET", "")


def logged(database):
    """What a sqlite store holds of one benchmark: its parents, its cells, seeds, and what is not finished."""
    with sqlite3.connect(database) as store:
        assert store.execute("pragma integrity_check").fetchall() == [("ok",)]

        def runs(where):
            query = (
                "select count(distinct r.run_uuid) from runs r join experiments e on e.experiment_id = r.experiment_id"
                f" join tags t on t.run_uuid = r.run_uuid where r.lifecycle_stage = 'active' and {where}"
            )
            return store.execute(query).fetchone()[0]

        counts = {
            "parents": runs("t.key = 'vadbench.benchmark'"),
            "cells": runs("e.name = 'benchmarks' and t.key = 'mlflow.parentRunId'"),
            "seeds": runs("e.name = 'tiny' and t.key = 'mlflow.parentRunId'"),
            "unfinished": runs("r.status != 'FINISHED'"),
        }
    store.close()
    return counts
