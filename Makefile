# Every target makes .venv by itself, once, and again when pyproject.toml changes.
#
#   make demo PYTHON=python3.12              another interpreter (3.11 or newer)
#   make demo TORCH="torch==2.13.0 --index-url ..."
#                                            another build of torch
PYTHON ?= python3
TORCH ?= torch==2.13.0

PY := .venv/bin/python
PIP := $(PY) -m pip --disable-pip-version-check install -q
INSTALLED := .venv/.installed
BENCH_INSTALLED := .venv/.bench-installed
PICTURES := docs/_static/regime_picture.png docs/_static/quickstart.png

# Pictures go to files, and scikit-learn's array API checks are not skipped.
export MPLBACKEND = Agg
export SCIPY_ARRAY_API = 1

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow docs lint types bench clean

help:
	@echo "make demo       install, draw the pictures of the README"
	@echo "make test       the tests (minutes)"
	@echo "make test-slow  the tests that take longer"
	@echo "make docs       the documentation, in docs/_build/html; checks docstrings, links"
	@echo "make lint       formatting, lint, spelling"
	@echo "make types      mypy"
	@echo "make bench      the benchmarks against named peers"
	@echo "make clean      remove what the above made, but not .venv"

install: $(INSTALLED)

# torch goes first and pinned: left to itself, pip may fetch gigabytes of CUDA.
$(INSTALLED): pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
	  { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..."; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv .venv
	@echo "Installing into .venv (a few minutes the first time) ..."
	@$(PIP) $(TORCH)
	@$(PIP) -e ".[dev]"
	@touch $@

$(BENCH_INSTALLED): $(INSTALLED)
	@$(PIP) -e ".[bench]"
	@$(PIP) --no-deps ISLP
	@touch $@

demo: $(INSTALLED)
	$(PY) examples/plot_regime_picture.py
	$(PY) examples/plot_quickstart.py
	@ls $(PICTURES)

# One thread a process: small arrays do not profit from more, and two can be in each
# other's way.
test test-slow docs: export OMP_NUM_THREADS = 1

test: $(INSTALLED)
	$(PY) -m pytest -n 2

test-slow: $(INSTALLED)
	$(PY) -m pytest -n 2 -m slow

docs: $(INSTALLED)
	$(PY) -m sphinx -q -W --keep-going -b html docs docs/_build/html
	$(PY) docs/check_site.py docs/_build/html
	@echo "Open docs/_build/html/index.html"

lint: $(INSTALLED)
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m codespell_lib

types: $(INSTALLED)
	$(PY) -m mypy

bench: $(BENCH_INSTALLED)
	@set -e; for script in benchmarks/bench_*.py; do \
	  echo "== $$script"; $(PY) $$script; done

clean:
	rm -rf build dist docs/_build docs/auto_examples docs/generated \
	  docs/sg_execution_times.rst .coverage .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
