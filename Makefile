# make alone prints this help. PYTHON chooses the interpreter: make test PYTHON=python3.12
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help install run test test-fast mutations bench faults faults-quick fuzz outcomes check check-dramatiq screenshots clean

help: ## Show what can be made
	@echo "MobVibe bridge. Needs Python 3.11 or later; everything else is installed into $(VENV)."
	@echo
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1|/' | awk -F'|' '{printf "%-20s %s\n", $$1, $$2}'

install: ## Make .venv with everything in it (does nothing when it is up to date)
	@sh scripts/install.sh "$(PYTHON)" "$(VENV)"

run: install ## Run everything: Postgres, Redis, bridge, worker, web, and a sample job
	@exec $(BIN)/mobvibe up

test: install ## Run all tests, against real Postgres and Redis, in several processes
	@$(BIN)/python -m pytest -n auto --dist worksteal --durations 20 --durations-min 1

# All without stores, and a job's way through real ones.
FAST := tests/unit tests/integration/test_fleet.py \
	$(patsubst %,tests/integration/postgres/test_%.py,enqueue claim start attempts reclaim operators conditions statements) \
	$(patsubst %,tests/integration/dispatch/test_%.py,dispatcher reconciler recovery) \
	$(patsubst %,tests/integration/worker/test_%.py,starts reports middleware)

test-fast: install ## Run the tests that tell the most in a minute
	@$(BIN)/python -m pytest $(FAST) -n auto --dist worksteal

mutations: install ## Take each condition out of the SQL functions in turn: the tests must notice (takes minutes)
	@$(BIN)/python -m tests.mutations

bench: install ## Measure speed, growth and costs beside other queues (makes their environments, takes half an hour)
	@$(BIN)/python -m bench

faults: install ## Prove that nothing is lost: 100 000 jobs under 1 000 faults, then all searches in full (takes 25 minutes; FAULTS=... for other options)
	@$(BIN)/python -m tests.campaign $(or $(FAULTS),--jobs 100000 --faults 1000 --minutes 16)
	@TEST_SIZE=full $(BIN)/python -m pytest -m sized -n auto --dist worksteal

faults-quick: install ## The same in small: 3 000 jobs, each kind of fault at least once, in 3 minutes
	@$(BIN)/python -m tests.campaign --seed 1 --jobs 3000 --faults 70 --minutes 1.5

fuzz: install ## Send 100 000 bad requests and 100 000 bad messages to real processes (takes 4 minutes; FUZZ=... for other options)
	@$(BIN)/python -m tests.fuzz $(FUZZ)

outcomes: install ## Let actors and middleware end in every way there is, in real processes (takes 4 minutes; OUTCOMES=... for options)
	@$(BIN)/python -m tests.outcomes $(OUTCOMES)

check-dramatiq: install ## Run Dramatiq's own tests against our broker (fetches its source archive, takes 6 minutes)
	@$(BIN)/python -m tests.dramatiq_suite

screenshots: install ## Take pictures of all pages into docs/images (needs Chromium: scripts/install-browser.sh)
	@$(BIN)/python -m tests.browser.screenshots docs/images

check: install ## Check format, lint, types and the text files
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/yamllint --strict docker-compose.yml deploy

clean: ## Remove .venv and caches; the data in .mobvibe stays
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache build *.egg-info
