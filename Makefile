# The whole life of a checkout. Needs: python3 >= 3.11 with venv and pip, git, make, bash. No system packages, no root.
#
#   make demo    a running exchange with a live market, on 127.0.0.1:8000      make test    everything
#   make check   style, types, dependency rules, schema                       make bench   the benchmarks
#   make env     only the environment                                         make lock    renew the locks (needs uv)
#   make growth  how times grow with what rests: the table and picture of tests/benchmarks/README.md
#   make fuzz    search for faults of matching, MINUTES=30                    make mutants planted faults, each caught
#
# An environment holds exactly what the locks name, by hash. `make demo` installs requirements.lock only; the others
# add requirements-dev.lock.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules --no-print-directory

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
# Counts packages while pip works; pip's own messages on failure go to standard error untouched.
COUNT := awk -v terminal=$$(test -t 2 && echo 1 || echo 0) \
  '/^Collecting/ { n++; if (terminal) { printf "\r  %d packages", n; fflush() } } END { printf "\r  %d packages\n", n }'

.PHONY: demo test check bench growth fuzz mutants env lock clean

demo: .venv/.run-stamp
	@exec $(BIN)/exchange demo $(DEMO)

# Two halves at a time, one for each of two cores. Each line says whose it is as it comes, so that nothing is lost where
# a run is ended from outside: Ctrl-C reaches both halves, and neither what writes their lines nor the shell, which waits
# until they have cleaned up. `env`, because a shell starts what is behind `&` deaf to Ctrl-C.
HALF := tests/unit tests/property tests/integration/test_crash_replay.py
PYTEST := env --default-signal=INT,TERM $(BIN)/python -m pytest
test: check
	@echo "== tests"
ifdef TESTS
	@$(BIN)/python -m pytest $(TESTS)
else
	@trap '' INT TERM; exec 3> >(sed -u 's/^/1| /') 4> >(sed -u 's/^/2| /'); status=0; \
	  $(PYTEST) $(HALF:%=--ignore=%) >&3 2>&1 & first=$$!; $(PYTEST) $(HALF) >&4 2>&1 & second=$$!; \
	  trap 'kill $$first $$second 2>/dev/null || true; wait $$first $$second || true' TERM; \
	  wait $$first || status=$$?; wait $$second || status=$$?; exec 3>&- 4>&-; wait; exit $$status
endif

check: .venv/.dev-stamp
	@echo "== style";            $(BIN)/ruff check --quiet .
	@                            $(BIN)/ruff format --check --quiet . || { $(BIN)/ruff format --check .; exit 1; }
	@echo "== types";            $(BIN)/mypy
	@echo "== dependency rules"; $(BIN)/lint-imports --no-cache > .venv/lint-imports.txt || { cat .venv/lint-imports.txt; exit 1; }
	@                            $(BIN)/python -m pytest --quiet tests/architecture
	@echo "== schema";           $(BIN)/python -m pytest --quiet tests/integration/test_schema.py

bench: .venv/.dev-stamp
	@exec $(BIN)/exchange bench $(BENCH)

growth: .venv/.dev-stamp
	@exec $(BIN)/python -m tests.benchmarks.growth

MINUTES ?= 30
fuzz: .venv/.dev-stamp
	@exec $(BIN)/python -m tests.fuzz --minutes $(MINUTES) $(FUZZ)

mutants: .venv/.dev-stamp
	@exec $(BIN)/python -m tests.mutation $(MUTANTS)

env: .venv/.dev-stamp
	@echo ".venv is ready"

.venv/.venv-stamp:
	@echo "creating .venv"
	@$(PYTHON) -c 'import ssl, sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer, with ssl, is needed: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -m venv --clear .venv
	@touch $@

.venv/.run-stamp: requirements.lock pyproject.toml | .venv/.venv-stamp
	@echo "installing what the exchange needs to run (hash-checked)"
	@$(PIP) install --require-hashes -r requirements.lock | $(COUNT)
	@# Compat mode puts the checkout itself on the path: a new package needs no new install.
	@$(PIP) install --quiet --no-deps --no-build-isolation --config-settings editable_mode=compat --editable .
	@touch $@

.venv/.dev-stamp: requirements-dev.lock .venv/.run-stamp
	@echo "installing what checks and tests need (hash-checked)"
	@$(PIP) install --require-hashes -r requirements-dev.lock | $(COUNT)
	@touch $@

# An address in a lock would tie every user to one mirror, so one is refused.
lock:
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	  $(UPGRADE) --extra build pyproject.toml -o requirements.lock
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	  $(UPGRADE) --extra build --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	@! grep -n '://' requirements.lock requirements-dev.lock

# Keeps var/: the data of a demo is not a build product.
clean:
	@rm -rf .venv .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
