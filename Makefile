# The four commands. Each gets what it needs first; STACK names another stack than the laptop's.
STACK ?= laptop

.PHONY: up down test check lock

up: ## from a bare machine to a running stack
	@./praxis up $(STACK)

down: ## destroy the stack; asks before it deletes data
	@./praxis down $(STACK)

test: ## every test that this machine can run, and a list of what it cannot
	@./praxis --dev python -m infra.supply || echo "going on with the tests that need no running stack" >&2
	@./praxis --dev pytest -n 2 --no-loadscope-reorder

check: ## formatting, lint, types, import contracts, links, generated files
	@./praxis --dev python -m infra.supply.checking

lock: ## write the locks again, from pyproject.toml and the images' requirements.in
	@./praxis --dev python -m infra.supply.locks
