# make demo: install and see the main job done
# make test: the quick gate, for every commit · make test-long: the rest, with coverage
# Everything is installed into .venv; nothing else on the machine is touched.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo monitor-demo test test-long fuzz benchmarks docs results face-checks face-studies masked-shown clean

demo: .venv/installed
	PATH="$(CURDIR)/$(BIN):$$PATH" scripts/demo

monitor-demo: .venv/installed-monitor
	$(BIN)/dolorimeter monitor run

test: .venv/installed-test
	PATH="$(CURDIR)/$(BIN):$$PATH" scripts/check

test-long: .venv/installed-test
	PATH="$(CURDIR)/$(BIN):$$PATH" scripts/check_long

fuzz: .venv/installed-test
	$(BIN)/python -m pytest -m fuzz -n 2 --timeout 3600 tests

results: .venv/installed
	PATH="$(CURDIR)/$(BIN):$$PATH" scripts/results

face-checks: .venv/installed
	$(BIN)/python scripts/face_checks

face-studies: .venv/installed .venv/installed-fast
	PATH="$(CURDIR)/$(BIN):$$PATH" scripts/face_studies

masked-shown: .venv/installed
	$(BIN)/python scripts/masked_shown.py signals
	$(BIN)/python scripts/masked_shown.py video

benchmarks: .venv/installed-test
	PATH="$(CURDIR)/$(BIN):$$PATH" scripts/benchmarks

docs: .venv/installed-test
	$(BIN)/mkdocs build --strict

clean:
	rm -rf .venv .demo site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "dolorimeter needs Python 3.11 or newer, found $$($(PYTHON) --version). Try: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml .venv/bin/python
	$(PIP) --editable '.[deep,face]'
	touch $@

.venv/installed-%: pyproject.toml .venv/bin/python
	$(PIP) --editable '.[$*]'
	touch $@

.venv/installed-test: pyproject.toml .venv/bin/python
	$(PIP) --editable '.[test]'
	touch .venv/installed $@
