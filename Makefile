# Every target sets up what it needs: Python >= 3.11, make and the package registry are enough.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# Two workers leave a core to the servers the tests start. One `make test WORKERS=0` runs in one process.
WORKERS ?= 2
ONCE ?=
OUTAGE ?=
# What `make test-faults` tries: full, or short as CI does (at most ten minutes on two slow cores).
FAULTS ?= full

.PHONY: help demo cluster run test coverage clients test-faults check fuzz format bench bench-store lock clean

help:  ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 13

$(READY): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "conversion-relay needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY)  ## Sandbox, service, a shop's events; ONCE=1 ends when all arrived, OUTAGE=1 shows 14 hours without TikTok
	$(BIN)/conversion-relay demo $(if $(ONCE),--once) $(if $(OUTAGE),--outage)

cluster: $(READY)  ## PostgreSQL, three nodes, a front, a shop's events; kill a node and watch; ONCE=1 ends when all arrived
	$(BIN)/conversion-relay demo --cluster $(if $(ONCE),--once)

run: $(READY)  ## The service, configured by the environment
	$(BIN)/conversion-relay serve

test: $(READY)  ## The whole test suite
	$(BIN)/pytest $(if $(filter-out 0,$(WORKERS)),-n $(WORKERS)) $(ARGS)

coverage: $(READY)  ## The same, and what of the code it runs; takes a third longer
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(if $(filter-out 0,$(WORKERS)),-n $(WORKERS)) $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --format=total | sed 's/^/coverage, percent: /'

clients: $(READY)  ## Segment's client for Node, for the tests that use it (needs npm)
	rm -rf $(VENV)/clients $(VENV)/clients.new
	mkdir -p $(VENV)/clients.new
	cp tests/clients/package.json $(VENV)/clients.new/
	npm install --prefix $(VENV)/clients.new --no-package-lock --no-audit --no-fund --ignore-scripts --omit=optional
	mv $(VENV)/clients.new $(VENV)/clients

test-faults: $(READY)  ## Kills, power cuts, outages: a line of figures each; FAULTS=short takes minutes
	RELAY_TEST_FAULTS=$(FAULTS) $(BIN)/pytest -q -p no:cacheprovider tests/faults $(ARGS)

check: $(READY)  ## Format, lint, types, architecture contracts, docs against code
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/pytest -q -p no:cacheprovider tests/architecture

fuzz: $(READY)  ## The laws on new random cases, 100,000 bodies that nobody should send, whole days of traffic
	RELAY_TEST_CASES=100000 HYPOTHESIS_PROFILE=fuzz $(BIN)/pytest -q $(if $(filter-out 0,$(WORKERS)),-n $(WORKERS)) \
	  tests/property tests/core/test_decoding.py tests/acceptance/test_malformed.py tests/service/monitor/test_days.py

format: $(READY)  ## Rewrite the code as `make check` wants it
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY)  ## Ratios measured in one run
	PYTHONPATH=tests $(BIN)/python bench/run.py

bench-store: $(READY)  ## What the store over PostgreSQL takes and gives, with a million waiting
	PYTHONPATH=tests $(BIN)/python bench/store.py

lock: $(READY)  ## Renew the lock files from pyproject.toml (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  --upgrade --group pyproject.toml:dev pyproject.toml -o requirements-dev.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  -c requirements-dev.lock pyproject.toml -o requirements.lock
	sed -i 's#$(CURDIR)/##g' requirements-dev.lock requirements.lock

clean:  ## Remove what the other targets made
	rm -rf $(VENV) dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
