# Everything is installed into .venv on first use; python3 (3.11 to 3.13) and make are all that must be there.
PYTHON ?= python3
BIN := .venv/bin
DEMO := .venv/.demo
READY := .venv/.ready
FLOORS := .venv-floors/bin/python
ALL := '.[dev,docs,ray]'
INSTALLED := pyproject.toml constraints.txt

# What installs into the environment of a Python: uv where it is there and reaches an index, otherwise pip.
pip = $(1) -m pip install --quiet --disable-pip-version-check $(2)
install = $(if $(shell command -v uv),uv pip install --quiet --python $(1) $(2) ||) $(call pip,$(1),$(2))

.PHONY: help demo test test-all test-floors docs lint types speed

help:
	@echo "make demo      render a data set, extract CLIP features, train two methods and evaluate four"
	@echo "make test      run the tests; make test-all the slow ones as well"
	@echo "make docs      build the documentation into docs/_build/html"
	@echo "make lint      ruff; make types: mypy"
	@echo "make speed     time everything beside a literal version and the machine's floor"
	@echo "make test-floors   run the tests with the oldest versions that pyproject.toml allows"

demo: $(DEMO)
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
	$(BIN)/python benchmarks/speed/all.py --record --plot benchmarks/speed/growth.png
	$(BIN)/python benchmarks/speed/merged.py

$(DEMO): $(INSTALLED)
	$(PYTHON) -m venv .venv
	@echo "installing into .venv: about 6.4 GB, most of it torch"
	$(call install,$(BIN)/python,--constraint constraints.txt --editable .)
	@touch $@

$(READY): $(INSTALLED)
	$(PYTHON) -m venv .venv
	@echo "installing into .venv, with what tests and documentation need: about 7 GB"
	$(call install,$(BIN)/python,--constraint constraints.txt --editable $(ALL))
	@touch $(DEMO) $@

test-floors:
	$(PYTHON) -m venv .venv-floors
	$(FLOORS) tests/support/floors.py test > .venv-floors/floors.txt
	@echo "installing the oldest versions into .venv-floors: about 8 GB"
	$(call install,$(FLOORS),--constraint .venv-floors/floors.txt --editable '.[test]')
	$(FLOORS) -m pytest -q -n 2 --dist worksteal -m "not slow"
