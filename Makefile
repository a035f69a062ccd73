# Everything happens in .venv, made from the first Python below and from the versions in constraints.txt.
PYTHON ?= python3
ARGS ?=
# pytest processes at once; a test file stays in one of them, so that it starts its server once.
JOBS ?= 2
# Processes that `make soak` kills.
KILLS ?= 5000

BIN := .venv/bin
STAMP := .venv/.installed
PLUGINS := $(sort $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml)))
PIP := $(BIN)/python -m pip --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help install demo test test-crash test-postgres test-servers lint format bench soak clean

help: ## show this list
	@echo "usage: make TARGET [ARGS='--orders 50']"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-16s %s\n", $$1, $$2}'

install: $(STAMP) ## set up .venv with amends and every plugin in plugins/

.venv: $(STAMP)

$(STAMP): pyproject.toml constraints.txt $(PLUGINS:%=%/pyproject.toml)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "amends needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo 'not there')." >&2; \
		echo "Name another one: make $(or $(MAKECMDGOALS),install) PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "==> .venv ($$($(PYTHON) --version))"
	@$(PYTHON) -m venv .venv || { \
		echo "'$(PYTHON) -m venv' failed; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "==> build tools"
	@$(PIP) install --quiet -c constraints.txt setuptools wheel
	@echo "==> amends and its plugins: $(notdir $(PLUGINS)) (the first time takes a minute or two)"
	@$(PIP) install --quiet -c constraints.txt --no-build-isolation --editable '.[test,lint]' $(PLUGINS:%=--editable ./%)
	@touch $@

demo: $(STAMP) ## run the demo: a seeded marketplace, its late orders put right (ARGS: its options)
	@$(BIN)/amends demo $(ARGS)

test: $(STAMP) ## run every test that needs no server of its own (ARGS: pytest's options)
	$(PYTEST) -n $(JOBS) --dist loadfile --no-loadscope-reorder -m "not crash and not postgres and not servers and not browser" $(ARGS)

test-crash: $(STAMP) ## run the tests that kill workers and cut power, hundreds of times (`make soak`: thousands)
	$(PYTEST) -n $(JOBS) --dist loadfile -m "crash and not postgres" $(ARGS)

test-postgres: $(STAMP) ## run the tests on Postgres: a private cluster of Debian's package, or AMENDS_TEST_POSTGRES=address
	$(PYTEST) -m postgres $(ARGS)

test-servers: $(STAMP) ## run the tests on real shop servers and in a browser (needs npm, chromium)
	$(PYTEST) -m "servers or browser" $(ARGS)

lint: $(STAMP) ## check style, types and import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(STAMP) ## rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) ## run the side-by-side measurements (see benchmarks/README.md)
	$(BIN)/python -m benchmarks $(ARGS)

soak: $(STAMP) ## run the crash tests at length: KILLS=5000 random kills
	AMENDS_KILLS=$(KILLS) $(PYTEST) -m crash $(ARGS)

clean: ## remove .venv, caches and build leftovers
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find flows plugins tests -name '*.egg-info' -prune -exec rm -rf {} + -o -name __pycache__ -prune -exec rm -rf {} +
