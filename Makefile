# make alone prints this help. PYTHON chooses the interpreter: make test PYTHON=python3.12
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help install run test mutations bench faults check clean

help: ## Show what can be made
	@echo "MobVibe bridge. Needs Python 3.11 or later; everything else is installed into $(VENV)."
	@echo
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1|/' | awk -F'|' '{printf "%-16s %s\n", $$1, $$2}'

install: ## Make .venv with everything in it (does nothing when it is up to date)
	@sh scripts/install.sh "$(PYTHON)" "$(VENV)"

run: install ## Run everything: Postgres, Redis, bridge, worker, web, and a sample job
	@exec $(BIN)/mobvibe up

test: install ## Run all tests, against real Postgres and Redis
	@$(BIN)/python -m pytest

mutations: install ## Take each condition out of the SQL functions in turn: the tests must notice (takes minutes)
	@$(BIN)/python -m tests.mutations

bench: install ## Measure speed, growth and costs beside other queues (makes their environments, takes 25 minutes)
	@$(BIN)/python -m bench

faults: install ## Run jobs under random faults and report what was kept (takes about 20 minutes)
	@$(BIN)/python -m tests.campaign --jobs 100000 --faults 1000

check: install ## Check format, lint, types and the text files
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/yamllint --strict docker-compose.yml

clean: ## Remove .venv and caches; the data in .mobvibe stays
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache build *.egg-info
