# Every target sets up what it needs. PYTHON names the Python to build the environment from, VENV where it stands.
PYTHON ?= python3
VENV ?= .venv
PORT ?= 8000

# What a target needs, by the name of its stamp: $(VENV)/.installed-<name>
EXTRAS_demo := psycopg,env,cli,test
EXTRAS_dev := psycopg,psycopg2,env,cli,test,dev,docs

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo clean

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

demo: $(VENV)/.installed-demo ## Run the demo site on a local cluster (PORT=8000)
	@$(VENV)/bin/python -m testproject.demo --port $(PORT)

clean: ## Remove the environment
	rm -rf $(VENV)

# Installs again only when the metadata changed.
$(VENV)/.installed-%: setup.cfg pyproject.toml | $(VENV)/bin/python
	@echo "* Installing the package and its extras $(EXTRAS_$*); the first time takes a minute"
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[$(EXTRAS_$*)]' \
	  || { echo "pip could not install the extras: see its message above, then run make again." >&2; exit 1; }
	@touch $@

# A half-made environment would look whole the next time: check first, and begin anew.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null \
	  || { echo "$(PYTHON) is no Python 3.10 or newer: install one, and name it: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "$(PYTHON) has no venv module: install it (Debian, Ubuntu: apt install python3-venv)." >&2; exit 1; }
	@echo "* Making the environment $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); exit 1; }
