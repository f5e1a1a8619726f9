# `make demo` and `make test` do all the set-up there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Where `make install` puts what it installs, and where the package itself is (see README.md).
DESTDIR :=
PREFIX := /usr/local
APP := /opt/breathhold
UNITS := breathhold.service breathhold-build-engines.service
LIB = $(DESTDIR)$(PREFIX)/lib
SHARE = $(DESTDIR)$(PREFIX)/share/breathhold
ETC = $(DESTDIR)/etc/breathhold

.PHONY: demo test check gpu-check lock protos install uninstall clean

# Scores a phantom (or SCAN=folder of DICOM) slice by slice, as a scanner would send it.
demo: $(VENV)/.installed
	$(BIN)/breathhold demo $(if $(SCAN),--scan "$(SCAN)")

test: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

# Mends what can be mended, then tests.
check: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(MAKE) test

# On a GPU box: all that needs a GPU, part by part, and its table into docs/gpu.md.
# PARTS="dali pycuda kernel", CASES=DIR of labelled scans, JSON=FILE, RUNTIME=tensorrt-rtx.
gpu-check: $(VENV)/.installed-dev
	$(BIN)/python -m tests.gpu.check --page docs/gpu.md $(if $(PARTS),--parts "$(PARTS)") \
		$(if $(CASES),--cases "$(CASES)") $(if $(JSON),--json "$(JSON)") \
		$(if $(RUNTIME),--runtime "$(RUNTIME)")

# What the daemon needs, at locked versions.
$(VENV)/.installed: requirements/base.txt pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --no-deps -r requirements/base.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# Also the tests' tools and PyTorch (CPU is enough).
$(VENV)/.installed-dev: requirements/dev.txt $(VENV)/.installed
	$(BIN)/pip install --quiet --no-deps -r requirements/dev.txt
	$(BIN)/pip install --quiet --constraint requirements/dev.txt torch==2.13.0
	touch $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# Writes requirements/*.txt anew from pyproject.toml.
lock: $(VENV)/.installed-dev
	$(BIN)/python requirements/lock.py

# Writes the Python stubs anew from the .proto files.
protos: $(VENV)/.installed-dev
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python protos/generate.py
	$(BIN)/buf lint protos

# The units, the user, the folders, alerts and dashboard; a configuration where there is none.
install:
	install -d $(LIB)/systemd/system $(LIB)/sysusers.d $(LIB)/tmpfiles.d $(SHARE) $(ETC)
	for unit in $(UNITS); do \
		sed 's|/opt/breathhold|$(APP)|' systemd/$$unit > $(LIB)/systemd/system/$$unit && \
		chmod 644 $(LIB)/systemd/system/$$unit || exit; \
	done
	install -m 644 systemd/breathhold.sysusers.conf $(LIB)/sysusers.d/breathhold.conf
	install -m 644 systemd/breathhold.tmpfiles.conf $(LIB)/tmpfiles.d/breathhold.conf
	install -m 644 systemd/monitoring/* $(SHARE)
	test -e $(ETC)/breathhold.toml || install -m 644 systemd/breathhold.toml $(ETC)

# Leaves the configuration, the scans and the engines.
uninstall:
	rm -f $(UNITS:%=$(LIB)/systemd/system/%)
	rm -f $(LIB)/sysusers.d/breathhold.conf $(LIB)/tmpfiles.d/breathhold.conf
	rm -rf $(SHARE)

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
