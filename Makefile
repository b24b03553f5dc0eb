# Everything runs from one virtual environment, made from python3 (>= 3.11) with venv and pip. The stamp file
# inside it remembers that the installation is done: a second run installs nothing.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
JOBS ?= 2

# Thousands of commands are started below; where Python may keep no bytecode, each would compile the whole package.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo test check bench nightly clean

help:
	@echo "make demo     the whole path on real data, in under a minute; leaves demo/ to explore"
	@echo "make test     the test suite"
	@echo "make check    formatting, lint, types, and which floor imports which"
	@echo "make bench    the numbers of the README, beside the programs they are compared with"
	@echo "make nightly  the long fault, fuzz and scale runs"
	@echo "make clean    remove the environment, the demo and what the tools left"

$(STAMP): pyproject.toml gitml/_version.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "GitML needs Python 3.11 or newer; choose one with: make PYTHON=python3.12" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(STAMP)

demo: $(STAMP)
	@rm -rf demo
	@$(BIN)/gitml demo demo

test: $(STAMP)
	$(BIN)/python -m pytest -n $(JOBS) -m "not nightly"

check: $(STAMP)
	$(BIN)/python -m ruff format --check
	$(BIN)/python -m ruff check
	$(BIN)/python -m mypy
	$(BIN)/lint-imports

bench: $(STAMP)
	$(BIN)/python -m tests.bench

nightly: $(STAMP)
	GITML_TEST_PROFILE=nightly $(BIN)/python -m pytest -n $(JOBS) -m nightly
	GITML_TEST_NO_FLOCK=1 $(BIN)/python -m pytest -n $(JOBS) -m "not nightly"

clean:
	rm -rf $(VENV) .bench demo build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
