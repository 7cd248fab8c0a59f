# "make" alone lists the targets.
.DEFAULT_GOAL := help
.PHONY: help install up lint types contracts check unit test test-rest system-packages test-system \
  test-slow bench program env-example clients web test-clients
SHELL := /bin/sh

# uv is the only thing pip installs; it reads uv.lock and does the rest.
UV := .venv/bin/uv
UV_VERSION := 0.13.8
SYNC := $(UV) sync --locked --inexact --compile-bytecode --quiet
export UV_PYTHON_DOWNLOADS := never
unexport VIRTUAL_ENV
# Trust what this machine trusts (a company's proxy), as pip does, where it has such a list.
CERTIFICATES := $(firstword $(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem))
ifneq ($(CERTIFICATES),)
export UV_SYSTEM_CERTS := true
export NODE_EXTRA_CA_CERTS ?= $(CERTIFICATES)
endif

# The first Python that is new and old enough.
PYTHON ?= $(shell for python in python3.12 python3.11 python3; do \
  if $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null; \
  then echo $$python; break; fi; done)

$(UV):
	@test -n "$(PYTHON)" || { echo "Python 3.11 or 3.12 is needed; none of python3.12, python3.11, python3 is one. Name it: make PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.venv/.runtime: $(UV) pyproject.toml uv.lock
	$(SYNC) --no-default-groups
	@touch $@

.venv/.complete: $(UV) pyproject.toml uv.lock
	$(SYNC) --all-groups
	@touch $@ .venv/.runtime

# Test processes; the tests of one file stay together.
WORKERS ?= 2
PYTEST := .venv/bin/pytest -q
# Files in the order of tests/conftest.py: the longest first.
PARALLEL := -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# What the system tests need beside the Python packages (Debian's names).
SYSTEM_PACKAGES := chromium chromium-driver prometheus

help: ## List these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "%-16s %s\n", $$1, $$2 }'

install: .venv/.complete ## Install the locked environment into .venv/

up: .venv/.runtime ## Start everything on embedded defaults; Ctrl-C stops it
	@exec .venv/bin/zmart up

lint: .venv/.complete ## Check style, complexity and format (ruff)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

types: .venv/.complete ## Check types (mypy, strict)
	.venv/bin/mypy

contracts: .venv/.complete ## Check the import contracts between packages
	.venv/bin/lint-imports

check: lint types contracts ## The loop while you work: lint, types, contracts, unit tests (90 s)
	$(PYTEST) $(PARALLEL) -m unit

unit: .venv/.complete ## The unit tests, with their coverage and its floor
	$(PYTEST) $(PARALLEL) -m unit --cov --cov-report=term:skip-covered

test: lint types contracts unit test-rest ## All but system and slow tests, after lint, types and contracts (20 min)

test-rest: .venv/.complete ## The tests that need Postgres, Redis, a chain or processes
	$(PYTEST) $(PARALLEL) -m "not unit and not system and not slow"

system-packages: ## Install what test-system needs, with apt (as root)
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends $(SYSTEM_PACKAGES)
	@# Debian starts a Prometheus of its own, which the tests do not use.
	if [ -d /run/systemd/system ]; then systemctl disable --now prometheus; fi

test-system: .venv/.complete ## Tests with a browser, and short drills that kill parts (15 min)
	$(PYTEST) $(PARALLEL) -m "system and not slow and not timed"
	$(PYTEST) -m "system and timed and not slow"

test-slow: .venv/.complete ## Soaks and searches of many minutes
	$(PYTEST) -m slow --timeout 1800

bench: .venv/.complete ## Run the benchmarks and write the table of docs/performance.md
	.venv/bin/python -m benchmarks --markdown

program: .venv/.complete ## Rebuild the reference program; the bytes must not change
	.venv/bin/python -m localnet.program.build
	.venv/bin/python -m localnet.scripted_program

env-example: .venv/.complete ## Write .env.example from the settings
	.venv/bin/zmart settings --env-example > .env.example

test-clients: .venv/.complete ## The client libraries: their tests, and whether what is generated is current (2 min)
	$(PYTEST) tests/clients

web: .venv/.complete ## Build the dashboard into api/static/app
	.venv/bin/python -m clients.generation.dashboard

clients: .venv/.complete ## Generate the client libraries' types and calls from the API's description
	.venv/bin/python -m clients.generation
