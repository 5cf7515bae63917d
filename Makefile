# Thin names over the real commands; `make help` lists them.
VENV ?= .venv
PYTHON ?= python3
PY := $(VENV)/bin/python
# The address of PyTorch's CPU package index, when it can be reached: on Linux it saves gigabytes of CUDA.
TORCH_INDEX ?=
PORT ?= 8321

.PHONY: help setup demo test check lint format types clean
help:            ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

setup: $(VENV)/.ready  ## make the virtual environment and install from the lock
$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade pip
	$(PY) -m pip install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) "$$(grep '^torch==' constraints.txt)"
	$(PY) -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: setup      ## load the generated sample history and start the service
	$(PY) -m app demo --port $(PORT)

test: setup      ## run every test
	$(PY) -m tests

check: setup     ## everything CI checks: format, lint, types, import contracts, tests
	$(VENV)/bin/ruff format --check app tests
	$(VENV)/bin/ruff check app tests
	$(PY) -m mypy
	$(VENV)/bin/lint-imports
	$(PY) -m tests

format: setup    ## format and mend what can be mended by itself
	$(VENV)/bin/ruff format app tests
	$(VENV)/bin/ruff check --fix app tests

clean:           ## remove the virtual environment and the demo's data
	rm -rf $(VENV) .demo
