# Two commands: `make repro` builds every model of the registry, `make test` tests the project itself.
# Both create .venv from pyproject.toml and constraints.txt, once.
# On Linux without a GPU, PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu avoids gigabytes of CUDA packages.
PYTHON ?= python3
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
export PATH := $(BIN):$(PATH)
PIP_INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt
# optimum-onnx states transformers < 4.58; what is used of it works with transformers 5 (docs/decisions/0031).
# torchvision is a dependency of optimum-intel that nothing here uses, and that must match torch's build exactly.
define FINISH_INSTALL
$(PIP_INSTALL) --no-deps optimum-onnx
$(BIN)/pip uninstall --quiet --disable-pip-version-check --yes torchvision
endef

.PHONY: repro ui test test-fast test-compat lint types docs check clean

repro: $(VENV)/.builder
	python -m stages check
	python -m stages host
	@# A clone has the receipts of folders that only the publisher has: without its receipt, a model is published again.
	@test -d dist || grep -ls '"target": *"folder"' registry/receipts/*.json | xargs rm -f
	dvc repro --keep-going

# The page that does things, on this machine alone; it prints its address.
ui: $(VENV)/.ui
	python -m stages ui

test: $(VENV)/.developer
	python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# The tests that do not need the build packages: under a minute.
test-fast: $(VENV)/.developer
	python -m pytest -n 2 --dist worksteal --no-toolchain

# The runtime with other versions of what it imports, and of Python: environments below .compat/, some gigabytes.
# `make test-compat ROWS=floors` runs one row of tools/compat/environments.toml, `ROWS=--large` all of them.
test-compat: $(VENV)/.developer
	python -m tools.compat $(ROWS)

lint: $(VENV)/.developer
	ruff check .
	ruff format --check .

types: $(VENV)/.developer
	mypy

# The documents as a site, in build/docs; every warning is an error.
docs: $(VENV)/.developer
	NO_MKDOCS_2_WARNING=1 python -m mkdocs build --quiet

check: lint types test

$(VENV)/.python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Artificer needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.builder: $(VENV)/.python pyproject.toml constraints.txt
	$(PIP_INSTALL) --editable '.[build]'
	$(FINISH_INSTALL)
	touch $@

$(VENV)/.ui: $(VENV)/.builder
	$(PIP_INSTALL) --editable '.[build,ui]'
	$(FINISH_INSTALL)
	touch $@

$(VENV)/.developer: $(VENV)/.builder
	$(PIP_INSTALL) --editable '.[build,dev]'
	$(FINISH_INSTALL)
	touch $@

clean:
	rm -rf $(VENV) artifacts dist build
