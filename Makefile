# Two commands do everything: `make demo` sets up and runs the lifecycle, `make test` runs the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv

export DO_NOT_TRACK := 1

.PHONY: demo test dev lint lock benchmark clean

demo: $(VENV)/.installed  ## set up, run the whole lifecycle on the default sources, show what happened
	@$(BIN)/winnow demo

test: $(VENV)/.installed-dev  ## set up, check the code's form, run every test
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports
	$(BIN)/python -m pytest

dev: $(VENV)/.installed  ## the Dagster UI with schedules and automation, on 127.0.0.1:3000
	@$(BIN)/winnow dev

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix . && $(BIN)/ruff format . && $(BIN)/lint-imports

benchmark: $(VENV)/.installed-dev  ## wall and CPU seconds and peak memory of the demo's run, by stage
	$(BIN)/python benchmarks/lifecycle.py

# Wheels only: nothing here needs a compiler. `uv` itself is pinned by hash as well.
$(UV): requirements-uv.lock
	@$(PYTHON) -c 'import sys; sys.exit("Winnow needs Python 3.11 or newer") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements-uv.lock
	@touch $(UV)

# The tests' environment holds the run's, so `make demo` after `make test` installs nothing.
$(VENV)/.installed: $(UV) requirements.lock pyproject.toml
	@test -e $(VENV)/.installed-dev && test $(VENV)/.installed-dev -nt requirements-dev.lock \
	  || $(UV) pip sync --quiet --python $(BIN)/python --require-hashes --only-binary :all: --compile-bytecode requirements-uv.lock requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-dev: $(UV) requirements-dev.lock pyproject.toml
	@$(UV) pip sync --quiet --python $(BIN)/python --require-hashes --only-binary :all: --compile-bytecode requirements-uv.lock requirements-dev.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/.installed

LOCK := $(UV) pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet

lock: $(UV)  ## resolve the dependencies anew
	$(LOCK) --group build --group dev --extra ner --extra postgres --extra ray --upgrade --output-file requirements-dev.lock
	$(LOCK) --group build --constraints requirements-dev.lock --output-file requirements.lock
	echo uv | $(UV) pip compile - --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet --output-file requirements-uv.lock

clean:  ## forget every run; the environment stays
	rm -rf var dbt_project/target dbt_project/logs
