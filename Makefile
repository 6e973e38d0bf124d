# Each target makes what it needs first: a virtual environment in .venv, filled from the pinned requirements and filled
# again only when those change. `make PYTHON=python3.13 ...` chooses the Python that .venv is made with.

PYTHON ?= python3
BIN := .venv/bin
PEERS := benchmarks/peers/node_modules/.stamp

.PHONY: help demo test faults fuzz lint format audit bench clean

help:
	@echo "make demo     run the demo site on http://127.0.0.1:8000/ (ARGS='--port 9000' to change the port)"
	@echo "make test     run every test, over SQLite and over PostgreSQL"
	@echo "make faults   kill and stop things for longer than 'make test' does (ARGS='-k redis' for some of them)"
	@echo "make fuzz     try 100,000 inputs that a machine makes up (ARGS='lives --count 1000000' for more of some of them)"
	@echo "make lint     check style and types"
	@echo "make format   put the code into shape"
	@echo "make audit    ask the Python Package Index whether anything that is pinned has a known hole"
	@echo "make bench    measure, and write docs/benchmarks.md (ARGS='--quick' to see in a minute that it works)"
	@echo "make clean    remove what the other targets made"

demo: .venv/demo.stamp
	$(BIN)/python manage.py demo $(ARGS)

# The last lines say what was left out, and which tests passed only when they were tried once more.
test: .venv/tests.stamp
	$(BIN)/python -m tests.suite

# Each story again and again, with other dice, and with faults that last; and random stories, many more of them.
faults: .venv/tests.stamp
	REALTIME_FAULT_SECONDS=30 REALTIME_FAULT_ROUNDS=3 REALTIME_PROPERTY_LENGTH=20 \
	$(BIN)/python -m pytest tests/faults tests/properties $(ARGS)

# What was found goes on in the next run: build/fuzz.
fuzz: .venv/fuzz.stamp
	$(BIN)/python -m tests.fuzz $(ARGS)

lint: .venv/tests.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/tests.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Needs the Package Index's own advisories: a mirror without them makes it fail, and say so. It installs nothing of what it audits.
audit: .venv/audit.stamp
	.venv/audit/bin/pip-audit --strict --disable-pip --no-deps --progress-spinner off \
	$(foreach file,$(wildcard requirements.txt */requirements*.txt */*/requirements.txt),--requirement $(file))

# The peers on Node.js are left out, and said to be, where there is no npm.
bench: .venv/bench.stamp
	$(BIN)/python -m benchmarks $(ARGS)

clean:
	rm -rf .venv build dist benchmarks/peers/node_modules staticfiles .mypy_cache .pytest_cache .ruff_cache

.venv/demo.stamp: requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/tests.stamp: requirements.txt tests/requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	@touch $@ .venv/demo.stamp

.venv/fuzz.stamp: requirements.txt tests/requirements.txt tests/fuzz/requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r tests/fuzz/requirements.txt
	@touch $@ .venv/demo.stamp .venv/tests.stamp

.venv/audit.stamp: tests/requirements-audit.txt | $(BIN)/python
	$(BIN)/python -m venv .venv/audit
	.venv/audit/bin/python -m pip install --quiet --disable-pip-version-check -r tests/requirements-audit.txt
	@touch $@

.venv/bench.stamp: requirements.txt tests/requirements.txt benchmarks/requirements.txt $(PEERS) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	@touch $@ .venv/demo.stamp .venv/tests.stamp

$(PEERS): benchmarks/peers/package.json
	command -v npm >/dev/null && npm install --prefix benchmarks/peers --no-save --no-package-lock --no-audit --no-fund --silent || true
	@mkdir -p $(@D) && touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed: make PYTHON=..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
