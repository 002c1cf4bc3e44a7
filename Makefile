# They need nothing but Python 3.11 or newer: `make demo`, `make test`, `make docs`.

PYTHON ?= python3
VENV ?= .venv
RESULTS ?= bench-results

BIN = $(VENV)/bin
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable
PINS = pyproject.toml constraints.txt

.PHONY: demo test check audit docs clean

demo: $(VENV)/installed-packaged
	$(BIN)/python -m bench run --methods darkformer performer --task lra --results $(RESULTS)

# Two processes of one thread each: threads that wait for each other at every small matrix are slower.
test: $(VENV)/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 -p no:benchmark

check: $(VENV)/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/architecture

# Known weaknesses of the pinned packages, asked of PyPI or OSV: fails where there is one.
audit: $(BIN)/pip-audit
	$(BIN)/python .ci/audit.py constraints.txt

# The documentation, into build/docs: open build/docs/index.html.
docs: $(VENV)/installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# The virtual environment and what tools left behind; results stay.
clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(BIN)/pip-audit: | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt pip-audit

# Stamps: a second `make` installs nothing. What `dev` installs contains what `packaged` does.
$(VENV)/installed-packaged: $(PINS) | $(BIN)/python
	$(INSTALL) '.[packaged]'
	@touch $@

$(VENV)/installed-dev: $(PINS) | $(BIN)/python
	$(INSTALL) '.[dev]'
	@touch $(VENV)/installed-packaged $@
