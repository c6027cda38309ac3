# The two commands of a newcomer, `make demo` and `make test`, and the checks; `make help` lists them.

PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
PYTEST_ARGS ?=
PIP = $(VENV)/bin/python -m pip --disable-pip-version-check --no-input
INSTALL = $(PIP) install --quiet --constraint constraints.txt
TOX = $(VENV)/bin/tox run --workdir .tox -e
ONE_THREAD = OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

export PYTHONSAFEPATH = 1

.DEFAULT_GOAL := help
.PHONY: help demo test check lint types layers wheel docs bench clean

help: ## list the targets
	@grep -E '^[a-z]+:.* ## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

demo: $(VENV)/.runs ## install into .venv, run the benchmark on the embedded data set, name the report
	$(VENV)/bin/crossprune demo

test: $(VENV)/.tests ## install what tests need and run them all; no optional package may be missing
	$(ONE_THREAD) $(VENV)/bin/python -m pytest -n $(WORKERS) --dist worksteal --benchmark-disable --require all $(PYTEST_ARGS)

check: $(VENV)/.tox ## run lint, types, layers, the packaging guard and the guide through tox
	$(TOX) lint,types,layers,wheel,docs

lint: $(VENV)/.tox ## format, lint, spelling
	$(TOX) $@

types: $(VENV)/.tox ## type check of the built wheel
	$(TOX) $@

layers: $(VENV)/.tox ## who may import whom
	$(TOX) $@

wheel: $(VENV)/.tox ## the wheel, and the lists that must stay in step
	$(TOX) $@

docs: $(VENV)/.tox ## build the guide into build/guide, running its examples
	$(TOX) $@

bench: $(VENV)/.tox ## a quick matrix and the hot kernels, timed
	$(TOX) $@

clean: ## remove the virtual environments, build folders and caches (results of runs stay)
	rm -rf $(VENV) .tox build dist docs/examples *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .benchmarks
	find api harness adapters datasets reports tests -name __pycache__ -type d -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "crossprune needs Python 3.11 or newer as '$(PYTHON)'; name another: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "making the virtual environment $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.runs: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing crossprune with SNAP and GAP (a minute or two the first time)"
	@$(INSTALL) --editable '.[snap,gap,phonons]'
	@touch $@

$(VENV)/.tests: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing crossprune with all model families and the test tools (a few minutes the first time)"
	@$(INSTALL) --editable '.[all,test]'
	@touch $@ $(VENV)/.runs

$(VENV)/.tox: | $(VENV)/bin/python
	@echo "installing tox"
	@$(PIP) install --quiet 'tox>=4.22'
	@touch $@
