# make alone prints this help. PYTHON chooses the interpreter: make test PYTHON=python3.12
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help install run test test-fast mutations bench faults faults-quick storm rollout fuzz outcomes check check-dramatiq screenshots docs reference licences audit sbom supply-tools clean test-pooler test-sentinel image-size

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

# Real processes and what runs in them, in all ways that reach Postgres and Redis.
PROCESSES := $(patsubst %,tests/acceptance/test_%.py,processes recovery restarts) tests/integration/test_fleet.py \
	$(patsubst %,tests/integration/%,web worker dispatch cli sessions)

test-pooler: install ## Run the tests of all processes by a real PgBouncer in transaction mode (scripts/install-pgbouncer.sh)
	@TEST_POOLER=transaction PGBOUNCER=required $(BIN)/python -m pytest $(PROCESSES) tests/acceptance/test_poolers.py -n auto --dist worksteal

test-sentinel: install ## Run the tests of all processes while Sentinels choose another primary every 15 seconds
	@TEST_REDIS=sentinel TEST_FAILOVER_SECONDS=15 $(BIN)/python -m pytest $(PROCESSES) -n auto --dist worksteal

image-size: install ## Install what the image holds, each file by its hash, and sum it
	@scripts/image-size.sh $(BIN)/python

mutations: install ## Take each condition out of the SQL functions in turn: the tests must notice (takes minutes)
	@$(BIN)/python -m tests.mutations

bench: install ## Measure speed, growth and costs beside other queues (makes their environments, takes half an hour)
	@$(BIN)/python -m bench

faults: install ## Prove that nothing is lost: 100 000 jobs under 1 000 faults, then all searches in full, then `make storm` (takes an hour; FAULTS=... for other options)
	@$(BIN)/python -m tests.campaign $(or $(FAULTS),--jobs 100000 --faults 1000 --minutes 16)
	@TEST_SIZE=full $(BIN)/python -m pytest -m sized -n auto --dist worksteal
	@$(BIN)/python -m tests.storm $(STORM)

faults-quick: install ## The same in small: 3 000 jobs, each kind of fault at least once, in 3 minutes
	@$(BIN)/python -m tests.campaign --seed 1 --jobs 3000 --faults 70 --minutes 1.5

storm: install ## Kill 1 000 workers and freeze 300 under coding sessions: no finished call runs twice (half an hour at most; STORM=... for options)
	@$(BIN)/python -m tests.storm $(STORM)

rollout: install ## Replace the previous release by this one under load, and back: no job is lost or late (takes 3 minutes; ROLLOUT=... for options)
	@$(BIN)/python -m tests.rollout $(ROLLOUT)

fuzz: install ## Send 100 000 bad requests and 100 000 bad messages to real processes (takes 4 minutes; FUZZ=... for other options)
	@$(BIN)/python -m tests.fuzz $(FUZZ)

outcomes: install ## Let actors and middleware end in every way there is, in real processes (takes 4 minutes; OUTCOMES=... for options)
	@$(BIN)/python -m tests.outcomes $(OUTCOMES)

check-dramatiq: install ## Run Dramatiq's own tests against our broker (fetches its source archive, takes 6 minutes)
	@$(BIN)/python -m tests.dramatiq_suite

screenshots: install ## Take pictures of all pages into docs/images (needs Chromium: scripts/install-browser.sh)
	@$(BIN)/python -m tests.browser.screenshots docs/images

docs: install ## Build the documentation as a site into build/site, without a warning
	@$(BIN)/python -m documentation.site

reference: install ## Write the pages of docs/reference that are made from the code
	@$(BIN)/python -m documentation

check: install ## Check format, lint, types and the text files
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/yamllint --strict docker-compose.yml deploy

licences: install ## List the licences of all dependencies; fails on one that nobody looked at
	@$(BIN)/python -m supply.licences

audit: supply-tools ## Ask which dependencies have known vulnerabilities (needs the network; without it: exit code 2)
	@$(BIN)/python -m supply.audit

sbom: supply-tools ## Write the software bill of materials (CycloneDX) of what production runs into build/sbom.json
	@$(BIN)/python -m supply.sbom build/sbom.json

# Not the extra itself, which would install the project once more, while it may be in use.
supply-tools: install
	@$(BIN)/python -c 'import cyclonedx_py, pip_audit' 2> /dev/null || \
		$(BIN)/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt cyclonedx-bom pip-audit 2> /dev/null || \
		{ echo "cyclonedx-bom and pip-audit cannot be installed: is there a network?" >&2; exit 2; }

clean: ## Remove .venv and caches; the data in .mobvibe stays
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache build *.egg-info
