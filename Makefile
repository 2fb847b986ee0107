# Every target sets up what it needs. PYTHON names the Python to build the environment from, VENV where it stands.
PYTHON ?= python3
VENV ?= .venv
PORT ?= 8000

# What a target needs, by the name of its stamp: $(VENV)/.installed-<name>
NEEDS_demo := --editable .[psycopg,env,cli,test]
WITHOUT_FAULTS := --ignore tests/chaos --ignore tests/consistency --ignore tests/ha --ignore tests/servers
NEEDS_dev := --editable .[psycopg,psycopg2,env,cli,test] -r requirements/dev.txt -r requirements/docs.txt
NEEDS_servers := $(NEEDS_dev) -r requirements/servers.txt

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test coverage quick cluster faults ha servers suites lint format teeth mutants bench docs pictures \
  screenshots tox messages package release soak clean

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

demo: $(VENV)/.installed-demo ## Run the demo site on a local cluster (PORT=8000)
	@$(VENV)/bin/python -m testproject.demo --port $(PORT)

test: $(VENV)/.installed-dev ## Set up everything and run all tests but the faults
	@$(VENV)/bin/python -m tests.cluster.postgis
	@$(VENV)/bin/python -m tests.cluster.programs
	@$(VENV)/bin/python -m pytest $(WITHOUT_FAULTS) $(ARGS)

coverage: $(VENV)/.installed-dev ## Run the same tests with branch coverage, which takes a third longer
	@$(VENV)/bin/python -m coverage erase
	@$(VENV)/bin/python -m coverage run -m pytest $(WITHOUT_FAULTS) $(ARGS)
	@$(VENV)/bin/python -m coverage combine --quiet
	@$(VENV)/bin/python -m coverage report --fail-under 95

quick: $(VENV)/.installed-dev ## Run the tests that need no cluster
	@$(VENV)/bin/python -m pytest -m "not cluster" $(WITHOUT_FAULTS) $(ARGS)

cluster: $(VENV)/.installed-dev ## Run the tests on real servers: those of GMF_PG_BINDIR, if it is set
	@$(VENV)/bin/python -m pytest tests/cluster $(ARGS)

faults: $(VENV)/.installed-dev ## Kill, freeze and cut off nodes under load; check what clients read meanwhile
	@$(VENV)/bin/python -m pytest tests/chaos tests/consistency $(ARGS)

ha: $(VENV)/.installed-dev ## Elections by Patroni, etcd and HAProxy under load
	@$(VENV)/bin/python -m tests.ha.engines
	@$(VENV)/bin/python -m pytest tests/ha $(ARGS)

servers: $(VENV)/.installed-servers ## Serve a site by each web server, and kill and freeze nodes
	@$(VENV)/bin/python -m pytest tests/servers $(ARGS)

suites: $(VENV)/.installed-dev ## Run the test suites of Django, django-tenants, REST framework and Wagtail with and without this package
	@$(VENV)/bin/python -m tests.django_suites $(ARGS)
	@$(VENV)/bin/python -m tests.tenants_suite
	@$(VENV)/bin/python -m tests.foreign_suites $(FOREIGN)

teeth: $(VENV)/.installed-dev ## Break each promise in a copy of the package: its test has to fail
	@$(VENV)/bin/python -m tests.teeth

mutants: $(VENV)/.installed-dev ## Change every line of routing/ and consistency/: which changes does no test notice? (ARGS=routing.policy)
	@$(VENV)/bin/mutmut run $(foreach module,$(ARGS),'django_gmf_router.$(module).*')
	@$(VENV)/bin/mutmut results | grep -v ': not checked$$'

lint: $(VENV)/.installed-dev ## Check style, types and the direction of imports
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports

format: $(VENV)/.installed-dev ## Format the code
	@$(VENV)/bin/ruff format .
	@$(VENV)/bin/ruff check --fix .

messages: $(VENV)/.installed-dev ## Take the texts to translate from the code, and compile what is translated (needs gettext)
	@cd django_gmf_router && $(abspath $(VENV))/bin/python -m django makemessages --all --add-location file --no-wrap
	@cd django_gmf_router && $(abspath $(VENV))/bin/python -m django compilemessages

docs: $(VENV)/.installed-dev ## Build the documentation
	@$(VENV)/bin/sphinx-build -q -n -W -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

pictures: $(VENV)/.installed-dev ## Draw the documentation's pictures anew from their data
	@$(VENV)/bin/python -m tests.pictures

screenshots: $(VENV)/.installed-dev ## Take the pictures of status page, toolbar and gmf_status that the documentation shows
	@$(VENV)/bin/python -m tests.browser.screenshots

bench: $(VENV)/.installed-dev ## Measure against the budgets and the peers
	@$(VENV)/bin/python -m benchmarks $(ARGS)

tox: $(VENV)/.installed-dev ## Run the matrix of Pythons and Djangos
	@$(VENV)/bin/tox run $(ARGS)

package: $(VENV)/.installed-dev ## Build the source distribution and the wheel, check both, test what is unpacked
	@$(VENV)/bin/python -m tests.distribution $(ARGS)

release: $(VENV)/.installed-dev ## Check that version, changelog, tag and tree agree
	@$(VENV)/bin/python -m tests.distribution.release

soak: $(VENV)/.installed-dev ## Run the long checks at their full length
	@GMF_SOAK=1 $(VENV)/bin/python -m pytest -m soak $(ARGS)

clean: ## Remove the environment
	rm -rf $(VENV)

# Installs again only when the metadata changed.
$(VENV)/.installed-%: setup.cfg setup.py pyproject.toml $(wildcard requirements/*.txt) | $(VENV)/bin/python
	@echo "* Installing $(NEEDS_$*); the first time takes a minute"
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(NEEDS_$*) \
	  || { echo "pip could not install it: see its message above, then run make again." >&2; exit 1; }
	@touch $@

# A half-made environment would look whole the next time: check first, and begin anew.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null \
	  || { echo "$(PYTHON) is no Python 3.10 or newer: install one, and name it: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "$(PYTHON) has no venv module: install it (Debian, Ubuntu: apt install python3-venv)." >&2; exit 1; }
	@echo "* Making the environment $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); exit 1; }
