# Needs only Python 3.11 or newer, and make.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# One single-threaded process per core; the tests of a file stay together, because they share fixtures.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile

# Branch coverage of src/lightcars; `fail_under` in pyproject.toml is the gate.
COVERAGE ?= --cov --cov-report=term

# The environment of the lowest versions, and the tests there; docs/versions.md.
OLDEST       := .venv-oldest
OLDEST_PACKAGES := --constraint tests/packaging/oldest.txt --editable '.[cars,parquet,imagenet]' \
	pytest pytest-xdist timm==1.0.31 efficientnet_pytorch==0.7.1
OLDEST_ROOMS := tests/test_compatibility.py tests/layers tests/models tests/counters tests/weights tests/contracts

.PHONY: help demo browser oldest test test-all test-oldest test-oldest-quick fuzz check docs clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# uv installs torch in about a minute, pip in about three. uv knows no settings of pip: with PIP_INDEX_URL
# or PIP_EXTRA_INDEX_URL, or where uv fails, pip installs.
pip = $(1)/bin/python -m pip
install = { ! env | grep -q '^PIP_[A-Z_]*INDEX_URL=' && $(pip) install --quiet uv \
	&& $(1)/bin/uv pip install --quiet --python $(1)/bin/python $(2); } || $(pip) install --quiet $(2)

$(VENV)/installed-demo: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(call install,$(VENV),--editable '.[cars]')
	touch $@

$(VENV)/installed-dev: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(call install,$(VENV),--editable '.[dev]')
	touch $@

demo: $(VENV)/installed-demo  ## set up, list the models, fine-tune on synthetic cars, predict; DATA=folder for your images
	$(BIN)/lightcars list
	$(BIN)/lightcars demo $(if $(DATA),--data "$(DATA)")

# Without Chromium, and where it cannot be installed, the tests of the web page are skipped.
browser:  ## install Chromium for the tests of the web page, as root on Debian or Ubuntu
	command -v chromium >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; }

test: $(VENV)/installed-dev  ## set up and run the quick tests, with the coverage gate (COVERAGE= leaves it out)
	$(PYTEST) -m "not slow" $(COVERAGE)

test-all: $(VENV)/installed-dev  ## the slow tests too
	$(PYTEST)

fuzz: $(VENV)/installed-dev  ## 10,000 damaged files of each kind; INPUTS, KINDS and SEED change that
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz.run --inputs $(or $(INPUTS),10000) --seed $(or $(SEED),0) $(KINDS)

$(OLDEST)/installed: pyproject.toml tests/packaging/oldest.txt
	$(PYTHON) -m venv $(OLDEST)
	$(call install,$(OLDEST),$(OLDEST_PACKAGES))
	touch $@

# Packages that no bound of ours holds back may call old ones deprecated.
OLD_PYTEST := OMP_NUM_THREADS=1 $(OLDEST)/bin/python -m pytest -n logical --maxprocesses 4 --dist loadfile \
	-m "not slow" -W ignore::DeprecationWarning

oldest: $(OLDEST)/installed  ## set up the environment of the lowest versions

test-oldest: $(OLDEST)/installed  ## the tests of models, weights and counters with the lowest versions of all dependencies
	$(OLD_PYTEST) $(OLDEST_ROOMS)

test-oldest-quick: $(OLDEST)/installed  ## those of them that depend on versions most, in two minutes
	$(OLD_PYTEST) @tests/packaging/versions.txt

check: $(VENV)/installed-dev  ## lint, types, import contracts, docs, wheel
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) docs
	BIN=$(BIN) sh tests/packaging/check_wheel.sh

docs: $(VENV)/installed-dev  ## build the documentation into docs/_build/html
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs docs/_build/html

clean:  ## remove all build outputs
	rm -rf $(VENV) $(OLDEST) build dist docs/_build
