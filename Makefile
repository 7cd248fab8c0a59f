.PHONY: install up test
SHELL := /bin/sh

# uv is the only thing pip installs; it reads uv.lock and does the rest.
UV := .venv/bin/uv
UV_VERSION := 0.13.8
SYNC := $(UV) sync --locked --inexact --compile-bytecode --quiet

$(UV):
	python3 -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.venv/.runtime: $(UV) pyproject.toml uv.lock
	$(SYNC) --no-default-groups
	touch $@

.venv/.complete: $(UV) pyproject.toml uv.lock
	$(SYNC) --all-groups
	touch $@ .venv/.runtime

install: .venv/.complete
