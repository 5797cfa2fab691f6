# The two commands of a new user are `make demo` and `make test`; both include `make setup`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

AIRGAP ?= 0

.PHONY: setup demo test parity faults fuzz stack stack-down stack-test lint format clean help

help:  ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */  make \1\t/' | expand -t 20

setup: $(VENV)/.ready  ## make .venv with the command roque, kernels compiled

$(VENV)/.ready: requirements.lock pyproject.toml ops/check_python.sh
	@sh ops/check_python.sh $(PYTHON)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the packages of requirements.lock into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q shared services migrations
	@$(BIN)/python -m roque.warm
	@touch $@
	@echo "ready: $(BIN)/roque --help"

demo: setup  ## simulate a night, reduce it as it comes in, compare with what was put in
	@$(BIN)/roque demo

test: setup lint  ## every check and every test
	@sh ops/test_packages.sh
	@$(BIN)/python -m pytest -n auto --dist loadfile

parity: setup  ## every golden reduction again: values compared, worst difference, disagreements, in build/parity/report.md
	@$(BIN)/python tests/parity/report.py

faults: setup  ## every fault at observatory size, with the time of each recovery (a quarter of an hour)
	@sh ops/test_packages.sh
	@$(BIN)/python -m pytest tests/faults -m "faults_all or not faults_all"

fuzz: setup  ## 5 000 seeded mutants of every format (SEED=number for those of another time, MUTANTS=number for fewer)
	@$(BIN)/python -m tests.mutants $(if $(SEED),--seed $(SEED)) $(if $(MUTANTS),--mutants $(MUTANTS))

stack:  ## build the containers and start them: the observatory size (AIRGAP=1: see ops/airgap)
	@AIRGAP=$(AIRGAP) sh ops/stack.sh up

stack-down:  ## stop the containers; what they have stored stays
	@sh ops/stack.sh down

stack-test: setup  ## put the golden night into the containers, compare with the laptop's measurements bit for bit
	@AIRGAP=$(AIRGAP) $(BIN)/python -m pytest -m stack tests/stack

lint: setup  ## ruff, mypy, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache | tail -n 3

format: setup  ## put the code into its one form
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

clean:  ## remove what make setup made
	rm -rf $(VENV)
