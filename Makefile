# Everything is installed into .venv on first use; python3 (3.11 to 3.13) and make are all that must be there.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: help demo test test-all docs lint types speed

help:
	@echo "make demo      render a data set, extract CLIP features, train and evaluate four methods"
	@echo "make test      run the tests; make test-all the slow ones as well"
	@echo "make docs      build the documentation into docs/_build/html"
	@echo "make lint      ruff; make types: mypy"
	@echo "make speed     time everything beside a literal version and the machine's floor"

demo: $(READY)
	$(BIN)/vadbench run --method random --dataset synthetic
	$(BIN)/vadbench run --method zero-shot --dataset synthetic
	$(BIN)/vadbench run --method vadclip --dataset synthetic
	$(BIN)/vadbench run --method anomalyclip --dataset synthetic

test: $(READY)
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not slow"

test-all: $(READY)
	$(BIN)/python -m pytest -q -n 2 --dist worksteal

docs: $(READY)
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

speed: $(READY)
	$(BIN)/python benchmarks/speed/all.py --json results/speed.json --plot results/growth.png

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	@echo "installing into .venv: about 6 GB, a minute or more"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,docs,ray]'
	@touch $@
