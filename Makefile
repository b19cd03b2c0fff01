# Bootstraps Hatch into .venv, then calls the scripts of hatch.toml, where everything else is written.
# Set PYTHON to choose the interpreter: make PYTHON=python3.12 test

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test environments part test-core test-all test-mpich test-slow test-dask test-pythons test-redis-servers test-slurm slurm-table test-mpi-brands mpi-table test-pyodide test-libraries test-provenance test-science lint fmt types docs bench wheels release versions clean

HATCH := .venv/bin/hatch
RUN := $(HATCH) run

export HATCH_DATA_DIR := $(CURDIR)/.hatch
# Which environment a script runs in is set below; that of a shell inside another must not.
unexport HATCH_ENV
unexport HATCH_ENV_ACTIVE
unexport PYTHONPATH
unexport VIRTUAL_ENV
# With it, each process that a test starts would compile all sources again.
unexport PYTHONDONTWRITEBYTECODE

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .hatch/default.ready ## run a workflow: 100 items, 10 workers, Redis brought along
	@$(RUN) default:demo

# What takes longest comes first, so that all end at about the same time.
PARTS := test:conformance test:dynamic test:fixed test:others core:run mpich:run dask:small test:types test:hybrid lint:check
# Tests wait for processes, and the last ones of a part have the machine for themselves: three parts at
# once keep two processors busy for 86 % of the time.
AT_ONCE := 3

test: environments ## all checks: lint, types, core by itself, everything together
	@mkdir -p .hatch/parts
	@printf '%s\n' $(PARTS) | xargs -P $(AT_ONCE) -I {} $(MAKE) --no-print-directory part PART={}

# One of them; its output comes in one piece, when it has ended.
part:
	@echo "== $(PART) has begun"
	@export PYTEST_XDIST_AUTO_NUM_WORKERS=$$(getconf _NPROCESSORS_ONLN); \
	$(RUN) $(PART) >.hatch/parts/$(PART).log 2>&1; failed=$$?; \
	{ echo; echo "== $(PART)"; cat .hatch/parts/$(PART).log; } ; exit $$failed

# Those of `make test`, side by side: pip waits for downloads and disks.
environments: .venv/hatch.ready
	@for name in lint core test mpich dask; do \
		$(MAKE) --no-print-directory .hatch/$$name.ready & pids="$$pids $$!"; \
	done; \
	for pid in $$pids; do wait $$pid || failed=1; done; exit $${failed:-0}

test-core: .hatch/core.ready
	@echo "== d4py-core by itself"
	@$(RUN) core:run

test-all: .hatch/test.ready
	@echo "== everything together"
	@$(RUN) test:all

test-mpich: .hatch/mpich.ready
	@echo "== the mapping mpi on MPICH"
	@$(RUN) mpich:run

test-slow: .hatch/test.ready .hatch/mpich.ready .hatch/docs.ready ## what `make test` leaves out because it takes long; before a release
	@echo "== what takes long"
	@for folder in packages/* conformance examples/tests; do \
		echo "== $$folder"; $(RUN) test:slow $$folder || failed=1; \
	done; \
	for run in mpich:slow docs:slow; do \
		echo "== $$run"; $(RUN) $$run || failed=1; \
	done; exit $${failed:-0}

test-dask: .hatch/dask.ready ## the mapping on Dask: all rules; `make test` runs workflows only
	@$(RUN) dask:run

# With WHOLE=1, all of their tests, which takes as long as `make test` on each.
test-pythons: .venv/hatch.ready $(if $(WHOLE),.hatch/mpich.ready) ## core, and workflows on every mapping, on each Python that is here, and the table of them
	@HATCH="$(CURDIR)/$(HATCH)" .ci/test-pythons "$(CURDIR)/.hatch/pythons"

# The server that d4py brings along, and those that can be had here without installing them.  With
# SERVERS='/path/to/redis-server …', those.
test-redis-servers: .hatch/test.ready ## the Redis mappings on other versions of Redis, and the table of them
	@HATCH=$(HATCH) .ci/test-redis-servers .hatch/servers $(SERVERS)

test-mpi-brands: .hatch/test.ready .hatch/mpich.ready .hatch/impi.ready ## the mapping mpi on Open MPI, MPICH and Intel MPI
	@for run in test:mpi test:losses mpich:run mpich:losses impi:run impi:losses; do \
		echo "== $$run"; $(RUN) $$run || failed=1; \
	done; exit $${failed:-0}

mpi-table: .hatch/test.ready .hatch/mpich.ready .hatch/impi.ready ## what each MPI does, as a table into docs/mappings.md
	@$(RUN) test:python .ci/mpi_brands.py $(foreach env,test mpich impi,.hatch/$(env)/bin/python)

test-pyodide: .hatch/test.ready ## the command in Pyodide, Python for browsers, under Node.js
	@command -v node >/dev/null && command -v npm >/dev/null || { \
		echo "The tests in Pyodide were not run: there is no Node.js with npm." >&2; exit $${CI:+1}; }; \
	.ci/pyodide .hatch/pyodide .hatch/test/bin/python && \
	D4PY_TEST_PYODIDE=.hatch/pyodide $(RUN) test:run -p no:xdist packages/d4py-cli/tests/test_pyodide.py

# Takes root, or a Slurm that is installed; where it cannot run it says so.
test-slurm: .hatch/test.ready ## the cluster scripts, in a Slurm of three nodes on this machine
	@.ci/slurm && D4PY_TEST_SLURM=1 $(RUN) test:run -- -p no:xdist examples/tests/test_slurm.py

slurm-table: .hatch/test.ready .hatch/mpich.ready .hatch/impi.ready ## what ways to start do in Slurm, as a table into docs/how-to
	@.ci/slurm && $(RUN) test:python .ci/slurm_table.py $(foreach env,test mpich impi,.hatch/$(env)/bin/python)

test-libraries: .hatch/libraries.ready ## how objects of large libraries are carried
	@$(RUN) libraries:run

test-science: .hatch/docs.ready ## workflows on measured data on every mapping, and the notebooks
	@$(RUN) docs:science

test-provenance: .hatch/provenance.ready ## provenance of runs, read by what others write
	@$(RUN) provenance:run

lint: .hatch/lint.ready ## style and layers
	@$(RUN) lint:check

fmt: .hatch/lint.ready ## rewrite sources in the project's style
	@$(RUN) lint:fmt

types: .hatch/test.ready ## mypy, strict
	@$(RUN) test:types

docs: .hatch/docs.ready ## the site, in .docs/site, and what its pages show: every code block runs
	@$(RUN) docs:site
	@$(RUN) docs:run

# With ROWS=words, only those with that in their name; with REQUIRE=1, nothing may be missing.
bench: .hatch/bench.ready ## benchmarks, beside the commit BEFORE and other libraries
	@for name in before peers; do \
		$(MAKE) --no-print-directory .hatch/$$name.ready \
			|| echo "Measuring without the environment '$$name'." >&2; \
	done
	@$(if $(REQUIRE),D4PY_BENCH_REQUIRE=1) $(RUN) bench:run $(if $(ROWS),-k '$(ROWS)')

wheels: .hatch/wheels.ready ## source archives and wheels of all packages, in dist/
	@rm -rf dist
	@$(RUN) wheels:all

release: wheels ## the same, checked as an index would
	@$(RUN) wheels:check

clean: ## remove all that make made
	rm -rf .venv .hatch .docs dist .benchmarks .conformance .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What the environments of `make test docs` and `make demo` hold: versions that the tests have passed
# with, so that a release of some library fails none of them.  With NEWEST=1, the newest.
CHECKED := lint core test mpich dask docs
VERSIONS := $(if $(NEWEST),,.ci/versions.txt)
# pip takes several names, with spaces between them; so those in the name of a folder are escaped.
SPACE := $(subst ,, )
CONSTRAIN := $(if $(VERSIONS),PIP_CONSTRAINT='file://$(subst $(SPACE),%20,$(CURDIR))/$(VERSIONS)')

versions: ## keep the versions of libraries that are installed here, for CI; see .ci/versions.py
	@.venv/bin/python .ci/versions.py $(CHECKED)

# An environment is made anew whenever the workspace or a package's metadata changes: an editable
# install keeps the entry points that it was made with.
METADATA := hatch.toml $(VERSIONS) $(wildcard packages/*/pyproject.toml conformance/pyproject.toml examples/pyproject.toml $(wildcard examples/*/pyproject.toml))

.hatch/%.ready: .venv/hatch.ready $(METADATA)
	@echo "Setting up the environment '$*' (once) ..." >&2
	@mkdir -p .hatch
	@rm -rf .hatch/$* $@
	@{ $(HATCH) env remove $* && $(if $(filter $*,default $(CHECKED)),$(CONSTRAIN)) $(HATCH) env create $*; } >.hatch/$*.log 2>&1 || { cat .hatch/$*.log >&2; exit 1; }
	@touch $@
.PRECIOUS: .hatch/%.ready

# The commit that benchmarks are compared with.
BEFORE := bf43c0d

.hatch/before.ready: .hatch/before-src/$(BEFORE)

.hatch/before-src/$(BEFORE):
	@rm -rf .hatch/before-src && mkdir -p .hatch/before-src
	@git archive -o .hatch/before-src/archive.tar $(BEFORE)
	@tar -x -f .hatch/before-src/archive.tar -C .hatch/before-src && rm .hatch/before-src/archive.tar
	@touch $@

.venv/hatch.ready:
	@python=; \
	for candidate in $(PYTHON) python3 python3.13 python3.12 python3.11 python; do \
		if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
			python=$$candidate; break; \
		fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo "d4py needs Python 3.11 or newer, and none was found." >&2; \
		echo "Install one, or say where it is: make PYTHON=/path/to/python3.12 ..." >&2; \
		exit 1; \
	fi; \
	echo "Setting up Hatch (once) ..." >&2; \
	rm -rf .venv; \
	"$$python" -m venv .venv || { echo "$$python cannot make virtual environments; on Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }; \
	$(CONSTRAIN) .venv/bin/python -m pip install --disable-pip-version-check 'hatch>=1.16' >.venv/pip.log 2>&1 || { cat .venv/pip.log >&2; exit 1; }
	@touch $@
