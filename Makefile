PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: install train test test-slow lint docs clean

install: $(VENV)/installed

$(VENV)/installed: setup.cfg constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable ".[test]"
	@# pip would compile on one core, and tests too; a file for newer Pythons fails, and it needs none.
	@$(BIN)/python -m compileall -q -j 0 -x '/tests/' $(VENV)/lib > /dev/null || true
	touch $@

train: install  ## Train PlasticPPO on the maze for a few minutes, with a progress bar.
	$(BIN)/python -m plastic_rl.scripts.train --algo plastic_ppo --env plastic_rl/Maze-v0 -P --tensorboard-log runs/tb $(ARGS)

test: install  ## The fast tests, in two processes.
	$(BIN)/python -m pytest -m "not slow" --numprocesses 2 --dist worksteal $(ARGS)

test-slow: install  ## Real training runs and long property tests.
	$(BIN)/python -m pytest -m slow $(ARGS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: install  ## The site, in docs/_build/html; a warning is an error. DOCS_RUN=0 leaves out the tutorials' output.
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html $(ARGS)

clean:
	rm -rf $(VENV) build dist *.egg-info docs/_build docs/generated
