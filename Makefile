# `make train` and `make test` are all that a new machine needs; both make the same .venv first.
PYTHON ?= python3
BIN := .venv/bin
# Coverage is that of the rooms' own tests: tracing doubles the time of those that go through the command.
ROOMS := tests/callbacks tests/datamodules tests/lit_modules
WINGS := callbacks configs datamodules lit_modules scripts
LINKED := .mypy_cache/linked/litzoo

.PHONY: train test lint clean

train: .venv/.installed
	$(BIN)/litzoo fit --config configs/digits_cnn.yaml

test: .venv/.installed-dev lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist worksteal $(ROOMS) --cov --cov-report=term:skip-covered --cov-fail-under=90
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist worksteal tests $(ROOMS:%=--ignore=%)

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	mkdir -p $(LINKED) && ln -sfn $(abspath $(WINGS)) $(LINKED)/ && ln -sf $(abspath litzoo)/* $(LINKED)/
	$(BIN)/mypy

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .coverage

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.installed: pyproject.toml | .venv/bin/python
	@echo "Installing into .venv: several minutes and gigabytes the first time ..."
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/.installed-dev: pyproject.toml | .venv/bin/python
	@echo "Installing into .venv: several minutes and gigabytes the first time ..."
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@ .venv/.installed
