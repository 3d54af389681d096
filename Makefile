# From a fresh clone, with Python 3.10 or newer, git and make: `make demo`, `make test`. Everything stays in the clone.
PYTHON ?= python3
# More processes than this gain little: most tests wait for programs that they start, and each worker imports torch.
TEST_PROCESSES ?= $(shell n=$$(nproc 2>/dev/null || sysctl -n hw.logicalcpu); n=$$((n + 1)); echo $$((n < 8 ? n : 8)))
TEST_ARGS ?=

BIN := .venv/bin
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt
# The test extras include the example's, so their stamp renews both.
VENV_STAMP := .venv/.made
EXAMPLE_STAMP := .venv/.example-installed
TEST_STAMP := .venv/.test-installed

.PHONY: help demo test lint install clean
# Two installs at once would write into the same .venv.
.NOTPARALLEL:

help:
	@echo "make demo     train the example once under +repro=strict, and show the record of that run"
	@echo "make test     run the whole test suite   (TEST_ARGS='-k launcher -x' goes to pytest)"
	@echo "make lint     ruff, and mypy --strict on the package"
	@echo "make install  only make the environment of the tests, in .venv"
	@echo "make clean    remove .venv and the caches; outputs/ and multirun/ are yours and stay"
	@echo "PYTHON=python3.12 chooses the interpreter; the one of an existing .venv stays until 'make clean'."

demo: $(EXAMPLE_STAMP)
	$(BIN)/python train.py +repro=strict
	@echo
	$(BIN)/repro-hydra list --limit 1 outputs
	@echo
	@run=$$($(BIN)/repro-hydra list --limit 1 --json outputs \
	    | $(BIN)/python -c 'import json, sys; print(json.load(sys.stdin)[0]["dir"])') \
	  && echo "$(BIN)/repro-hydra show $$run" && $(BIN)/repro-hydra show "$$run" \
	  && echo && echo "The record is in $$run/.repro:" && ls -l "$$run/.repro"

# One process more than there are cores: one of them is always waiting for a cluster.
# The package's byte code is written first: the tests start thousands of interpreters, and most may not write it.
test: $(TEST_STAMP)
	$(BIN)/python -m compileall -q repro_hydra hydra_plugins
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) $(TEST_ARGS)

lint: $(TEST_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict -p repro_hydra

install: $(TEST_STAMP)

# An environment that is there and works is kept, one made without pip (by uv, say) gets it, a broken one is made anew.
# Debian splits `ensurepip` from `venv`; without it `python -m venv` leaves an environment that has no pip.
$(VENV_STAMP):
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null 2>&1 || { \
	  command -v "$(PYTHON)" >/dev/null || { \
	    echo "$(PYTHON): not found. Install Python 3.10 or newer, or name one: make PYTHON=/path/to/python" >&2; exit 1; }; \
	  "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	    echo "$(PYTHON) is $$("$(PYTHON)" --version 2>&1), Python 3.10 or newer is needed. Name one: make PYTHON=python3.12" >&2; exit 1; }; \
	  "$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null || { \
	    echo "$(PYTHON) has no venv module. On Debian or Ubuntu: apt install python3-venv" >&2; exit 1; }; \
	  "$(PYTHON)" -m venv --clear .venv; }
	@touch $@

$(EXAMPLE_STAMP): $(VENV_STAMP) pyproject.toml constraints.txt
	$(PIP_INSTALL) -e '.[example]'
	@touch $@

$(TEST_STAMP): $(VENV_STAMP) pyproject.toml constraints.txt
	$(PIP_INSTALL) -e '.[test]'
	@touch $(EXAMPLE_STAMP) $@

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
