# Everything that is needed is installed into .venv, from the locks in requirements/.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Twice the cores: much of what a test of servers and processes does is waiting.
WORKERS ?= $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))
FUZZ_SECONDS ?= 60
BENCH ?=
CAMPAIGN ?=
QUICK ?=
MINUTES ?=
SERVE ?=
TORTURE ?=
# COVERAGE=yes has the tests count the lines that run, for `make coverage`: half as long again.
COVERAGE ?=
COV = $(if $(COVERAGE),--cov --cov-append --cov-report=)
# Images for containers set it; then every process that the tests start compiles its source anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.NOTPARALLEL: # the targets share one environment
.PHONY: help run fips-module tour tour-custody test test-fips test-old-sqlalchemy test-long lint types format docs pages bench bench-http bench-signed bench-columns bench-fields bench-django bench-data bench-custody bench-backup bench-audit bench-lookups bench-recipients campaign fuzz torture coverage lock build sbom audit bare-check clean

help: ## show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

run: $(VENV)/server ## start here: the HTTP service on the embedded store, at 127.0.0.1:8000
	@$(BIN)/mfn --quiet init
	@exec $(BIN)/mfn serve $(SERVE)

fips-module: ## fetch Debian's OpenSSL FIPS provider into .venv/fips, for tests; MODULE=3.1.2 builds that
	@bash scripts/$(if $(MODULE),fips_module_3_1_2.sh $(VENV)/fips-$(MODULE),fips_module.sh $(VENV)/fips)

tour: $(VENV)/run ## walk through the library and the command line on real files
	@$(BIN)/python scripts/tour.py $(TOUR)

tour-custody: $(VENV)/test ## the same on each custodian: Vault (OpenBao), AWS KMS (moto), SoftHSM2
	@$(BIN)/python -m tests.support.custodians.tour $(TOUR)

test: $(VENV)/test ## run the tests
	@rm -f .coverage .coverage.*
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not long" $(COV) $(PYTEST)

# All but those of the XOR cipher. The list of what is refused by design is in docs/fips.md.
FIPS ?= tests --ignore tests/legacy
test-fips: $(VENV)/test ## the tests in FIPS mode, on the module of `make fips-module`; FIPS=FOLDER for a part
	$(BIN)/python -m pytest -p tests.support.fips_run -n $(WORKERS) --dist worksteal -m "not long" $(FIPS) $(PYTEST)

# Its folder is in front of what .venv has, in which the other packages are.
test-old-sqlalchemy: $(VENV)/test $(VENV)/sqlalchemy20/.made ## the tests of encrypted columns on SQLAlchemy 2.0
	PYTHONPATH=$(CURDIR)/$(VENV)/sqlalchemy20 $(BIN)/python -c 'import sqlalchemy as s; assert s.__version__[:4] == "2.0.", s'
	PYTHONPATH=$(CURDIR)/$(VENV)/sqlalchemy20 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not long" \
	  tests/integrations/test_sqlalchemy*.py tests/integrations/test_takeover.py $(PYTEST)

# LONG=short leaves the sizes at what CI has time for. Some of them hold the service to its seconds,
# for which each worker needs a core; half of what they do is waiting, so there is room for one more.
LONG ?= whole
LONG_WORKERS ?= $(shell echo $$((1 + $$(getconf _NPROCESSORS_ONLN))))
test-long: $(VENV)/test ## services started, killed and cut off, replays, stalled clients; LONG=short for less
	$(if $(filter whole,$(LONG)),MFN_TEST_HSM_SECONDS=60 MFN_TEST_REPLAYS=100000 MFN_TEST_ROTATIONS=1000 \
	  MFN_TEST_BACKUPS=40 MFN_TEST_STALLED=1000 MFN_TEST_FAULTS=1000) \
	$(BIN)/python -m pytest -n $(LONG_WORKERS) --dist worksteal -m long --timeout $(if $(filter whole,$(LONG)),14400,900) $(COV) $(PYTEST)

coverage: $(VENV)/test ## what the last tests with COVERAGE=yes covered; fails below the thresholds
	$(BIN)/python -m coverage report --include='src/mycelium_fractal_net/security/*' --fail-under=100
	$(BIN)/python -m coverage report --fail-under=95

lint: $(VENV)/lint ## style, security rules, import rules
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/lint ## mypy, strict
	$(BIN)/python -m mypy $(wildcard src tests scripts fuzz benchmarks campaigns hatch_build.py)

format: $(VENV)/lint ## let ruff write the layout
	$(BIN)/python -m ruff check --fix-only .
	$(BIN)/python -m ruff format .

docs: $(VENV)/test ## links, commands and settings in the documents
	$(BIN)/python -m scripts.check_docs

pages: $(VENV)/test ## write the pages that are made from the code: help, OpenAPI, public names, side channels
	$(BIN)/python -m scripts.made --write

bench: $(VENV)/bench ## measure against peers, side by side; writes docs/benchmarks/
	$(BIN)/python -m benchmarks $(BENCH)

bench-http: $(VENV)/bench ## load the service beside plain FastAPI; needs wrk (Debian: wrk)
	$(BIN)/python -m benchmarks.http $(BENCH)

bench-signed: $(VENV)/bench ## what verifying a signed request costs, and taking its nonce
	$(BIN)/python -m benchmarks.signed $(BENCH)

bench-backup: $(VENV)/bench ## back up and restore 100,000 keys beside SQLite's own backup call
	$(BIN)/python -m benchmarks.backup $(BENCH)

bench-audit: $(VENV)/bench ## verify 200,000 audit records, first and again
	$(BIN)/python -m benchmarks.audit $(BENCH)

bench-lookups: $(VENV)/bench ## tags and deterministic messages beside what they are made of
	$(BIN)/python -m benchmarks.lookups $(BENCH)

bench-recipients: $(VENV)/bench ## files to a recipient beside files under a key
	$(BIN)/python -m benchmarks.recipients $(BENCH)

bench-data: $(VENV)/test $(VENV)/bench ## read sealed Parquet files and arrays beside plain ones
	$(BIN)/python -m benchmarks.data $(BENCH)

bench-custody: $(VENV)/test $(VENV)/bench ## what a master key in AWS KMS or OpenBao costs; needs wrk (Debian: wrk)
	$(BIN)/python -m benchmarks.custody $(BENCH)

torture: $(VENV)/test ## kill ten thousand processes at work
	$(BIN)/python -m tests.torture $(TORTURE)

bench-columns: $(VENV)/test $(VENV)/bench ## rewrap a column of PostgreSQL beside its own rewriting; needs PostgreSQL
	$(BIN)/python -m benchmarks.columns $(BENCH)

bench-fields: $(VENV)/test $(VENV)/bench ## encrypted columns of SQLAlchemy beside a Fernet type and plaintext
	$(BIN)/python -m benchmarks.fields $(BENCH)

bench-django: $(VENV)/test $(VENV)/bench ## encrypted fields of Django beside django-fernet-encrypted-fields and plaintext
	$(BIN)/python -m benchmarks.django_fields $(BENCH)

# What is finished is kept in build/campaigns/, and the same command goes on; plots need the bench lock.
campaign: $(VENV)/test $(VENV)/fuzz $(if $(QUICK),,$(VENV)/bench) ## security tests at length, hours; CAMPAIGN=NAME,NAME QUICK=yes MINUTES=30
	$(BIN)/python -m campaigns $(CAMPAIGN) $(if $(QUICK),--quick) $(if $(MINUTES),--minutes $(MINUTES))

fuzz: $(VENV)/fuzz ## fuzz everything that parses bytes, FUZZ_SECONDS for each target
	@for target in fuzz/fuzz_*.py; do \
	  name=$$(basename $$target .py | cut -d_ -f2-); \
	  echo "== $$name"; \
	  mkdir -p build/fuzz/$$name; \
	  $(BIN)/python -m fuzz $$name -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 \
	    -artifact_prefix=build/fuzz/ build/fuzz/$$name fuzz/corpus/$$name || exit 1; \
	done

bare-check: ## by hand, as root: all of CI in a bare Debian 12 made by debootstrap
	bash .ci/bare

# Each lock is a constraint on those after it, so that all fit into one environment, and holds with
# markers what any Python from 3.11 on needs. UPGRADE is empty to keep every version that still
# fits: make lock UPGRADE=
UPGRADE ?= --upgrade
lock: $(VENV)/lock ## make the locks anew from requirements/*.in
	cd requirements && for name in run server test lint audit fuzz bench lock sqlalchemy20; do \
	  ../$(BIN)/uv pip compile --quiet $(UPGRADE) --universal --python-version 3.11 \
	    --fork-strategy fewest --generate-hashes --annotation-style line --no-header --no-emit-index-url \
	    --no-emit-find-links --output-file $$name.txt $$name.in || exit 1; \
	done

build: $(VENV)/run ## the wheel, the sdist and the SBOM into dist/, the same bytes each time
	@$(BIN)/python -m scripts.build --twice

sbom: $(VENV)/run ## the SBOM of the wheel alone, CycloneDX, into dist/
	@mkdir -p dist
	@$(BIN)/python scripts/sbom.py --output dist/mycelium_fractal_net.cdx.json

audit: $(VENV)/audit ## hold the locks against published advisories; fails where there are none to ask
	@$(BIN)/python scripts/audit.py

clean: ## remove what was installed and built
	rm -rf $(VENV) build dist .coverage .coverage.* .hypothesis .import_linter_cache \
	  .pytest_cache .mypy_cache .ruff_cache

# $(call install,NAME): the lock NAME.txt, then this package on top, editable. The lock is whole, so
# nothing is resolved: an older pip would look for "coverage[toml]" beside the pinned "coverage".
define install
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo "Installing requirements/$(1).txt into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
	  -r requirements/$(1).txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
	  --no-build-isolation --editable .
	@touch $@
endef

$(VENV)/run: requirements/run.txt pyproject.toml
	$(call install,run)
$(VENV)/server: requirements/server.txt pyproject.toml
	$(call install,server)
$(VENV)/test: requirements/test.txt pyproject.toml
	$(call install,test)
$(VENV)/lint: requirements/lint.txt pyproject.toml
	$(call install,lint)
$(VENV)/audit: requirements/audit.txt pyproject.toml
	$(call install,audit)
$(VENV)/fuzz: requirements/fuzz.txt pyproject.toml
	$(call install,fuzz)
$(VENV)/bench: requirements/bench.txt pyproject.toml
	$(call install,bench)
$(VENV)/sqlalchemy20/.made: requirements/sqlalchemy20.txt $(VENV)/test
	@rm -rf $(@D)
	@echo "Installing requirements/sqlalchemy20.txt into $(@D) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
	  --target $(@D) -r requirements/sqlalchemy20.txt
	@touch $@
$(VENV)/lock: requirements/lock.txt pyproject.toml
	$(call install,lock)
