# The daily verbs. Everything is installed into .venv in this folder and nowhere else.
.DEFAULT_GOAL := help
SHELL := /bin/bash

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Which Python makes the environment; empty tries python3.11, then python3.
PYTHON ?=
# More arguments for pytest, e.g. make test PYTEST_ARGS="-k manifest"
PYTEST_ARGS ?=
# make bench BENCH_ARGS=--write also rewrites docs/benchmarks.md
BENCH_ARGS ?=

# make kill-test KILL_ARGS="--backend vits --kills 50 --seed 3"
KILL_ARGS ?=

.PHONY: help setup demo test test-descript lint types docs site wheel bench kill-test

help: ## list these verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(STAMP) ## make .venv and install amtts with its development tools (the other verbs call this)

# Reruns only when what is installed changes.
$(STAMP): pyproject.toml constraints.txt scripts/make_venv.sh
	@bash scripts/make_venv.sh $(VENV) $(PYTHON)
	@touch $@

demo: $(STAMP) ## prepare, tokenize, train, check and speak with the bundled corpus (about 10 minutes)
	@$(BIN)/python scripts/demo.py

test: $(STAMP) ## run the tests
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 $(PYTEST_ARGS) || { code=$$?; \
	  if [ $$code -eq 5 ]; then echo "error: pytest found no test to run (exit code 5)" >&2; fi; exit $$code; }

test-descript: ## hold the original descript-audio-codec to the same numbers, in an environment of its own
	@bash scripts/test_descript.sh .venv-descript

lint: $(STAMP) ## ruff check, ruff format --check and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(STAMP) ## mypy
	$(BIN)/mypy

docs: $(STAMP) ## write docs/commands.md and docs/config.md from the code
	$(BIN)/python scripts/make_docs.py

site: $(STAMP) ## build the documentation as a site, into site/
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

wheel: $(STAMP) ## build dist/amtts-*.whl
	rm -f dist/amtts-*.whl
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	@ls dist/amtts-*.whl

bench: $(STAMP) ## run benchmarks/bench_*.py and print the figures with the machine they hold for
	@OMP_NUM_THREADS=$${OMP_NUM_THREADS:-2} OMP_WAIT_POLICY=$${OMP_WAIT_POLICY:-PASSIVE} $(BIN)/python scripts/run_benchmarks.py $(BENCH_ARGS)

kill-test: $(STAMP) ## kill tiny trainings at random moments and compare the resumed ones bit by bit
	@OMP_NUM_THREADS=1 $(BIN)/python scripts/kill_test.py $(KILL_ARGS)
