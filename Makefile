# Two verbs do everything on a fresh machine: `make train` and `make test`. Everything they install goes to .venv.
.DEFAULT_GOAL := help
.PHONY: help install train test lint types check bench gpu docs docs-serve clean
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory
SHELL := /bin/sh

# Python 3.11 or newer: the first of these that is; or say which, as in `make train PYTHON=/opt/python3.12/bin/python3`.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
# Passed on to pip, as in `make train PIP_FLAGS="--find-links wheels/"`.
PIP_FLAGS ?=
# Passed on to `simko train`, as in `make train ARGS="--algorithm grpo"`.
ARGS ?=
# Passed on to pytest, as in `make test PYTEST_FLAGS="-k countdown"`.
PYTEST_FLAGS ?=
# Processes that share the test files, 1.5 GB each: `make test PYTEST_WORKERS=0` runs them in one.
PYTEST_WORKERS ?= 2
# Of `make gpu`: one of its five parts, and the folder of a real model.
PART ?=
MODEL ?=
# Flags of `python -m venv`, and the pinned versions; a machine with a torch of its own takes
# `VENV_FLAGS=--system-site-packages CONSTRAINTS=`.
VENV_FLAGS ?=
CONSTRAINTS ?= -c constraints.txt
# Passed on to the fault suite, as in `make faults FAULTS_FLAGS="--only kills damage"`.
FAULTS_FLAGS ?=
# What builds the site: `make docs BUILDER=mkdocs` takes mkdocs-material, which has to be installed in .venv.
BUILDER ?= zensical

VENV_PYTHON := .venv/bin/python
# pip tells a person what it downloads, and a log only what goes wrong.
PIP_INSTALL = if [ -t 1 ]; then quiet=; else quiet=--quiet; fi; \
	$(VENV_PYTHON) -m pip --disable-pip-version-check install $$quiet $(PIP_FLAGS) $(CONSTRAINTS)
INPUTS := pyproject.toml constraints.txt

help: ## show this
	@echo "simko: verbs of this Makefile"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1 \2/p' Makefile | awk '{ verb = $$2; $$1 = $$2 = ""; printf "  make %-11s%s\n", verb, $$0 }'

train: .venv/.installed ## train the built-in policy on Countdown (minutes on 2 CPU cores) and draw its pass@K curve
	$(VENV_PYTHON) -m simko train --recipe countdown $(ARGS)

test: lint types ## lint, types and tests
	OMP_NUM_THREADS=1 $(VENV_PYTHON) -m pytest -n $(PYTEST_WORKERS) --dist loadfile $(PYTEST_FLAGS)

faults: .venv/.installed-test ## break runs on purpose, some 900 times (20 minutes): kills, full disks, damaged files, bad data
	OMP_NUM_THREADS=1 $(VENV_PYTHON) tests/faults $(FAULTS_FLAGS)
	OMP_NUM_THREADS=1 SIMKO_TEST_KILLS=1 $(VENV_PYTHON) -m pytest tests/ranks/test_runs_of_ranks.py

check: .venv/.installed ## does this machine have what training needs?
	$(VENV_PYTHON) -m simko doctor

bench: .venv/.installed ## ours beside each peer: `make bench ARGS="head --peer-python PATH"`; all of them without ARGS
	$(VENV_PYTHON) -m benchmarks $(or $(ARGS),all)

gpu: .venv/.installed-test ## tests, benchmarks and a run on the GPU, to docs/results/gpu: `make gpu PART=2 MODEL=FOLDER`
	$(VENV_PYTHON) -m benchmarks.gpu $(if $(PART),--part $(PART)) $(if $(MODEL),--model "$(MODEL)") $(ARGS)

docs: .venv/.installed-test ## build the site of the pages into build/site; a dead link is an error
	@rm -rf build/site .cache
	$(VENV_PYTHON) -m $(BUILDER) build --strict
	@cd docs && find . -name '*.md' -exec tar -chf - {} + | tar -C ../build/site -xf -  # llms.txt leads programs to these
	@echo "the site is in build/site; see it with: $(VENV_PYTHON) -m http.server --directory build/site"

docs-serve: .venv/.installed-test ## show the site at http://localhost:8000, and build it anew when a page changes
	$(VENV_PYTHON) -m zensical serve

install: .venv/.installed ## only install, to .venv

lint: .venv/.installed-test
	$(VENV_PYTHON) -m ruff check
	$(VENV_PYTHON) -m ruff format --check
	.venv/bin/lint-imports
	.venv/bin/codespell README.md CHANGELOG.md docs simko envs agents recipes examples studies benchmarks

types: .venv/.installed-test
	$(VENV_PYTHON) -m mypy

clean: ## remove .venv, build leftovers and caches; runs/ stays
	rm -rf .venv build dist simko.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

# A stamp each, so that pip runs again only when what it installs from has changed.
.venv/.installed: $(INPUTS) | .venv/.made
	@echo "installing simko and its dependencies to .venv (some minutes the first time)"
	@$(PIP_INSTALL) -e .
	@touch $@

.venv/.installed-test: $(INPUTS) | .venv/.made
	@echo "installing simko and its dependencies to .venv, with those of the tests (some minutes the first time)"
	@$(PIP_INSTALL) -e ".[test]"
	@touch .venv/.installed $@

.venv/.made:
	@if [ -z "$(PYTHON)" ]; then \
		echo "simko needs Python 3.11 or newer, and none is on the PATH: install one, or name it with PYTHON=..." >&2; exit 2; fi
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "simko needs Python 3.11 or newer; $(PYTHON) is older or missing: name another with PYTHON=..." >&2; exit 2; }
	@"$(PYTHON)" -m venv --clear $(VENV_FLAGS) .venv || { \
		echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; exit 2; }
	@touch $@
