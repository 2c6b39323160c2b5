PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
READY := .venv/ready

.DEFAULT_GOAL := help
.PHONY: help install check format test demo bench mutants clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "%-8s  %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(READY) ## Make .venv with everything the project needs (the other targets do it themselves)

$(READY): pyproject.toml uv.lock deploy/bootstrap.py
	@command -v $(PYTHON) >/dev/null || { echo "no $(PYTHON) on the path: install Python 3.11 or newer, or say 'make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)'" >&2; exit 1; }
	@$(PYTHON) deploy/bootstrap.py
	@touch $@

check: $(READY) ## Format, lint, types and architecture, in under a minute
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/architecture -m "not slow"

format: $(READY) ## Format, and fix what the linter can fix
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

test: $(READY) ## Run every test, two at a time; ARGS="-k name" chooses
	$(BIN)/python -m pytest -n 2 $(ARGS)

demo: $(READY) ## Run the shipped desk on its sixteen requests
	$(BIN)/baton demo $(ARGS)

bench: $(READY) ## Measure the relay
	$(BIN)/baton bench relay $(ARGS)

mutants: $(READY) ## Break the pure decisions in every small way, count what the tests notice (10 minutes)
	$(BIN)/uv sync --frozen --group mutants --inexact
	$(BIN)/python tests/mutants.py

clean: ## Remove what these targets made; journals stay
	rm -rf .venv dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
