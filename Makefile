# The front door. `make help` lists what there is; every target may be run on a fresh clone.

PYTHON := .venv/bin/python
LOCK := CUSTOM_COMPILE_COMMAND="make lock" .venv/bin/pip-compile --quiet --generate-hashes --strip-extras \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --all-build-deps --allow-unsafe

.DEFAULT_GOAL := help
.PHONY: help setup demo test check fix bench sim tcb docs lock clean

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name text; do printf '%-8s %s\n' "$$name" "$$text"; done

setup: ## Install everything: system packages, .venv, the compiled build of trusted/
	@scripts/setup all

demo: ## Install what the demo needs, then watch a wrong replica being outvoted
	@scripts/setup demo
	@.venv/bin/quorate demo

test: setup check ## Everything that must hold: set-up, checks, all tests, full branch coverage of trusted/
	$(PYTHON) -m pytest tests/trusted --cov=quorate.trusted --cov-branch --cov-fail-under=100
	$(PYTHON) -m pytest tests --ignore=tests/trusted

check: ## Format, lint, types, layers; changes nothing
	@scripts/setup all
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo

fix: ## Format, and repair what the linter can repair
	@scripts/setup all
	.venv/bin/ruff format
	.venv/bin/ruff check --fix

bench: ## Compare with one server alone and behind HAProxy
	@scripts/setup all
	.venv/bin/quorate bench versus

sim: ## Break the cell in simulation: SEEDS=200 of them, or SEED=7 for one with its trace
	@scripts/setup all
	@$(PYTHON) -m tests.sim $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),200))

tcb: ## Print the size of the trusted base
	@scripts/setup demo
	@$(PYTHON) scripts/tcb.py

docs: ## Check that the docs name every command and setting
	@scripts/setup all
	$(PYTHON) -m pytest tests/repository/test_docs.py

lock: ## Pin the Python packages anew, in requirements/
	@scripts/setup all
	$(LOCK) --upgrade --output-file requirements/base.txt pyproject.toml
	$(LOCK) --upgrade --extra dev --extra lab --constraint requirements/base.txt --output-file requirements/dev.txt pyproject.toml

clean: ## Remove all that was made here: .venv, builds, caches
	rm -rf .venv build dist htmlcov .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
