"""What a record keeps of the machine and of the code."""

from pathlib import Path

import torch

import vadbench
from vadbench.harness.environment import describe
from vadbench.plugins import provenance


def test_a_record_names_the_commit_of_the_checkout_that_vadbench_lies_in(monkeypatch):
    checkout = Path(vadbench.__file__).resolve().parents[1]
    git = checkout / ".git"
    exists = Path.exists  # in an unpacked archive there is none
    monkeypatch.setattr(Path, "exists", lambda path, **options: path == git or exists(path, **options))
    monkeypatch.setattr(provenance, "commit", lambda folder: f"commit of {folder}")
    assert describe(torch.device("cpu"))["commit"] == f"commit of {checkout}"
