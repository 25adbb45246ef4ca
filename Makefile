# Türk AI Agent: set up, run, test. `make help` lists what there is.
#
# Needs a POSIX shell, GNU make 3.81 or later and Python 3.11 or later. Everything is installed into .venv beside this
# file; the base model goes to the user's cache. Running a target again costs nothing where nothing has changed.

SHELL := /bin/sh
.DEFAULT_GOAL := help
TARGETS := help setup serve chat doctor test check format clean distclean
.PHONY: $(TARGETS) FORCE

HERE := $(shell pwd -P)
quoted = '$(subst ','\'',$(1))'
ROOT := $(shell cd "$$(dirname $(call quoted,$(strip $(MAKEFILE_LIST))))" && pwd -P)

ifneq ($(ROOT),$(HERE))

# Called with -f from another folder: everything happens in the repository's.
$(TARGETS):
	@$(MAKE) --no-print-directory -C $(call quoted,$(ROOT)) $@

else

VENV := .venv
STAMP := .setup.stamp
LOCK := .setup.lock
IN_VENV := $(VENV)/bin/python
TURKISH_AI := $(IN_VENV) -m turkish_ai.cli

# On the command line only: a HOST or PORT that the environment happens to hold means something else.
ifeq ($(origin HOST),command line)
SERVE_ARGS += --host $(call quoted,$(HOST))
endif
ifeq ($(origin PORT),command line)
SERVE_ARGS += --port $(call quoted,$(PORT))
endif

help:  ## list the targets
	@echo "make TARGET [NAME=VALUE ...]"
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  HOST=, PORT=   where make serve listens        ARGS=       more arguments for pytest"
	@echo "  PYTHON=        the Python to set up with       PIP_ARGS=   more arguments for pip install"

setup: $(STAMP)  ## install into .venv and prepare the base model and the router

serve: $(STAMP)  ## start the server (set up first, if need be)
	@$(TURKISH_AI) serve $(SERVE_ARGS)

chat: $(STAMP)  ## talk with the assistant in the terminal
	@$(TURKISH_AI) chat

doctor: $(STAMP)  ## say what is missing on this machine, and the remedy
	@$(TURKISH_AI) doctor

test: $(STAMP)  ## run the tests with coverage
	$(IN_VENV) -m pytest --cov --cov-report=term:skip-covered --cov-report=xml $(ARGS)

check: $(STAMP)  ## run the linters, the type checker and the checks of documents and configuration
	$(IN_VENV) -m ruff check .
	$(IN_VENV) -m ruff format --check .
	$(IN_VENV) -m mypy
	$(VENV)/bin/lint-imports
	$(TURKISH_AI) config check
	$(TURKISH_AI) config schema --check
	$(IN_VENV) -m pytest -q --no-header tests/unit/test_repository.py

format: $(STAMP)  ## write the code as the linters want it
	$(IN_VENV) -m ruff check --fix .
	$(IN_VENV) -m ruff format .

clean:  ## remove caches and build results, not the installation
	rm -rf build dist htmlcov coverage.xml .coverage .coverage.* src/*.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src services scripts tests -type d -name __pycache__ -prune -exec rm -rf {} +

distclean: clean  ## remove the installation too; the base model stays in the user's cache
	rm -rf $(VENV) $(STAMP) $(LOCK)

# --- setting up -----------------------------------------------------------------------------------------------------
#
# The stamp holds how far the setting up came:
#   <this folder>            done, here: a repository that was moved or copied is set up anew
#   installed <this folder>  the packages are there; the base model or the router is not yet
#   installing               pip was at work and did not end well: if it left half a package, the environment is made
#                            again
#
# `make serve` and `make test` in two terminals are two who set up: one does, holding the lock until its last process has
# ended, and the other waits and then finds all done.

SET_UP := $(shell test -x $(IN_VENV) && cat $(STAMP) 2>/dev/null)
ifneq ($(SET_UP),$(HERE))
$(STAMP): FORCE
endif
.PRECIOUS: $(STAMP)  # make would delete it when it is interrupted, and with it what it says

$(STAMP): pyproject.toml
	@set -eu; here="$$(pwd -P)"; exec 9>>$(LOCK); $(take_the_lock); \
	state="$$(cat $(STAMP) 2>/dev/null || true)"; \
	if [ "$$state" = "$$here" ] && [ -x $(IN_VENV) ] && ! [ pyproject.toml -nt $(STAMP) ]; then exit 0; fi; \
	case "$$state" in \
	  '' | "$$here" | "installed $$here") ;; \
	  installing) if ! $(is_whole); then \
	    echo "The last installation left half a package; making the environment again."; rm -rf $(VENV); fi ;; \
	  *) echo "This folder was moved or copied; making the environment again."; rm -rf $(VENV) ;; \
	esac; \
	if ! $(IN_VENV) -m pip --version >/dev/null 2>&1; then \
	  state=; $(find_python); \
	  rm -rf $(VENV); echo installing > $(STAMP); "$$python" -m venv $(VENV); \
	fi; \
	if [ "$$state" != "installed $$here" ] || [ pyproject.toml -nt $(STAMP) ]; then \
	  echo installing > $(STAMP); \
	  torch="$$(sed -n 's/^ *"\(torch==[^"]*\)".*/\1/p' pyproject.toml)"; \
	  $(IN_VENV) -m pip install --prefer-binary $(PIP_ARGS) "$$torch"; \
	  $(IN_VENV) -m pip install --prefer-binary $(PIP_ARGS) -e '.[dev]'; \
	  echo "installed $$here" > $(STAMP); \
	fi; \
	$(TURKISH_AI) setup; \
	echo "$$here" > $(STAMP)

# torch goes first and alone, so that pip takes the build that PIP_ARGS or pip's configuration offers for this machine
# (a CPU wheel is a tenth of the CUDA one) before anything else asks for it.

# Every file that a package says it has is there, with its size; pip writes that list last.
define is_whole
$(IN_VENV) -c 'import importlib.metadata as m, sys, sysconfig; sys.exit(not all( \
f is not None and (f.suffix == ".pyc" or f.locate().exists() and f.size in (None, f.locate().stat().st_size)) \
for d in m.distributions(path=[sysconfig.get_path("purelib")]) for f in (d.files or [None])))' >/dev/null 2>&1
endef

# The lock is the open file's, so the shell keeps it after Python has taken it; where there is no Python yet, there is
# nothing to install with either.
define take_the_lock
for candidate in $(call quoted,$(PYTHON)) $(IN_VENV) python3.13 python3.12 python3.11 python3; do \
  if [ -n "$$candidate" ] && "$$candidate" -c 'import fcntl' >/dev/null 2>&1; then \
    "$$candidate" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)' 2>/dev/null || { \
      echo "Another make is setting up this folder; waiting for it."; \
      "$$candidate" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)'; }; \
    break; \
  fi; \
done
endef

define find_python
python=; \
if [ -n $(call quoted,$(PYTHON)) ]; then set -- $(call quoted,$(PYTHON)); else set -- python3.13 python3.12 python3.11 python3; fi; \
for candidate do \
  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
    python="$$candidate"; break; \
  fi; \
done; \
if [ -z "$$python" ]; then \
  echo "No Python 3.11 or later was found (tried: $$*). Install one, or name it: make setup PYTHON=/path/to/python3" >&2; \
  exit 1; \
fi; \
if ! "$$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then \
  echo "$$python has no venv module. Install it (Debian, Ubuntu: apt install python3-venv) and run make again." >&2; \
  exit 1; \
fi
endef

endif
