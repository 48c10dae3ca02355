# A machine with Python 3.11 or newer and make is all that is needed.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# As many processes as cores, of one thread each; the tests of a file stay together, as they share what is made.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile

.PHONY: help demo test test-all check docs clean

help:  ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/installed-demo: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[cars]'
	touch $@

$(VENV)/installed-dev: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

demo: $(VENV)/installed-demo  ## set up, list the models, fine-tune on drawn cars, predict; DATA=folder for photographs
	$(BIN)/lightcars list
	$(BIN)/lightcars demo $(if $(DATA),--data "$(DATA)")

test: $(VENV)/installed-dev  ## set up and run the quick tests
	$(PYTEST) -m "not slow"

test-all: $(VENV)/installed-dev  ## the slow tests too
	$(PYTEST)

check: $(VENV)/installed-dev  ## lint, types, import contracts, docs, wheel
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) docs
	BIN=$(BIN) sh tests/packaging/check_wheel.sh

docs: $(VENV)/installed-dev  ## build the documentation into docs/_build/html
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs docs/_build/html

clean:  ## remove what was made
	rm -rf $(VENV) build dist docs/_build
