.PHONY: install up test test-slow bench program
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

install: .venv/.complete

up: .venv/.runtime
	@exec .venv/bin/zmart up

test: .venv/.complete
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/pytest -q -n 2 --dist loadfile

test-slow: .venv/.complete
	.venv/bin/pytest -q -m slow --timeout 1800

bench: .venv/.complete
	.venv/bin/python -m benchmarks --markdown

program: .venv/.complete
	.venv/bin/python -m localnet.program.build
	.venv/bin/python -m localnet.scripted_program
