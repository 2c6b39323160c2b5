PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
READY := .venv/ready
SECRETS := $(or $(DESK_SECRETS),deploy/secrets)

.DEFAULT_GOAL := help
.PHONY: help install check format test chaos demo up down logs docker bench eval mutants clean

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

test: $(READY) ## Run every test, three at a time; ARGS="-k name" chooses
	$(BIN)/python -m pytest -n 3 $(ARGS)

chaos: $(READY) ## Inject every fault in full and report, 1 hour; ARGS="--only poison --seed 7 --json FILE"
	$(BIN)/python -m tests.e2e.faults $(ARGS)

demo: $(READY) ## Run the shipped desk on its sixteen requests
	$(BIN)/baton demo $(ARGS)

up: docker ## Build and start the desk as services, wait until all are ready; ARGS="--scale cards=3"
	@command -v $(PYTHON) >/dev/null || { echo "no $(PYTHON) on the path: say 'make PYTHON=/path/to/python3 up'" >&2; exit 1; }
	@$(PYTHON) deploy/make_secrets.py $(SECRETS)
	docker compose up --detach --build --wait $(ARGS) || { docker compose ps --all; exit 1; }
	@echo "RabbitMQ    http://$$(docker compose port rabbitmq 15672)  (admin, password in $(SECRETS)/rabbitmq_password)"
	@echo "Jaeger      http://$$(docker compose port jaeger 16686)"
	@echo "PostgreSQL  $$(docker compose port postgres 5432), database baton"
	@echo 'Try         docker compose run --rm cli send "my card was stolen and there is a payment I did not make"'

down: docker ## Stop the services; their data stays, unless ARGS=--volumes
	docker compose --profile cli down --remove-orphans $(ARGS)

logs: docker ## Follow the services' logs; ARGS="cards disputes" chooses
	docker compose logs --follow --tail 100 $(ARGS)

docker:
	@docker compose version >/dev/null 2>&1 || { echo "'make $(MAKECMDGOALS)' needs Docker with Compose v2, and 'docker compose version' fails; 'make demo' needs neither" >&2; exit 1; }
	@docker info >/dev/null 2>&1 || { echo "'make $(MAKECMDGOALS)' needs a Docker engine, and none answers ('docker info'); 'make demo' needs none" >&2; exit 1; }

bench: $(READY) ## Measure the relay beside raw aio-pika, on servers of its own with data in memory; ARGS=--help tells more
	$(BIN)/python -m tests.bench $(ARGS)

eval: $(READY) ## Measure routing and recognition on ../shared/evals, beside targets and baselines; ARGS="--only desk --seeds 1"
	$(BIN)/python -m tests.evals $(ARGS)

mutants: $(READY) ## Break the pure decisions in every small way, count what the tests notice (10 minutes)
	$(BIN)/uv sync --frozen --all-extras --group mutants --inexact
	$(BIN)/python tests/mutants.py

clean: ## Remove what these targets made; journals stay
	rm -rf .venv dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
