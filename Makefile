# `make demo` and `make test` do all the set-up there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tools that look at what is installed stay out of it.
SUPPLY := .venv-supply
# Where `make install` puts what it installs, and where the package itself is (see README.md).
DESTDIR :=
PREFIX := /usr/local
APP := /opt/breathhold
UNITS := breathhold.service breathhold-build-engines.service
LIB = $(DESTDIR)$(PREFIX)/lib
SHARE = $(DESTDIR)$(PREFIX)/share/breathhold
ETC = $(DESTDIR)/etc/breathhold

.PHONY: demo test fuzz soak check gpu-check lock sbom licences audit protos install uninstall clean

# Scores a phantom (or SCAN=folder of DICOM) slice by slice, as a scanner would send it.
demo: $(VENV)/.installed
	$(BIN)/breathhold demo $(if $(SCAN),--scan "$(SCAN)")

# What looks at the supply chain is set up where it can be; its tests are left out elsewhere.
test: $(VENV)/.installed-dev
	-@PIP_RETRIES=1 $(MAKE) --no-print-directory $(SUPPLY)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

# Arbitrary bytes into everything that reads, for so many seconds; findings in build/fuzz.
FUZZ_S := 1200
FUZZER := build/fuzzer
fuzz: $(FUZZER)/.installed
	PYTHONPATH="$(FUZZER)" $(BIN)/python -m tests.fuzz $(FUZZ_S) build/fuzz $(TARGETS)

# Beside the tests' tools, for these runs alone.
$(FUZZER)/.installed: requirements/fuzz.txt $(VENV)/.installed-dev
	$(BIN)/pip install --quiet --no-deps --require-hashes --upgrade --target $(FUZZER) \
		-r requirements/fuzz.txt
	touch $@

# Acknowledgements, consoles at once, a restart, memory, and thousands of kills in place of the two
# hundred of the tests: an hour (PARTS="acks kills"); figures beside what is promised.
KILLS := 5000
SCANS := 100
soak: $(VENV)/.installed-dev
	$(BIN)/python -m tests.soak --kills $(KILLS) --scans $(SCANS) --folder build/soak $(PARTS)

# Mends what can be mended, then tests.
check: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(MAKE) test

# On a GPU box: all that needs a GPU, part by part, and its table into docs/gpu.md.
# PARTS="dali pycuda kernel" (what is said there of the others stays), CASES=DIR of labelled scans,
# JSON=FILE, RUNTIME=tensorrt-rtx.
gpu-check: $(VENV)/.installed-dev
	$(BIN)/python -m tests.gpu.check --page docs/gpu.md $(if $(PARTS),--parts "$(PARTS)") \
		$(if $(CASES),--cases "$(CASES)") $(if $(JSON),--json "$(JSON)") \
		$(if $(RUNTIME),--runtime "$(RUNTIME)")

# What the daemon needs, at locked versions.
$(VENV)/.installed: requirements/base.txt pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --no-deps --require-hashes -r requirements/base.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# Also the tests' tools and PyTorch (CPU is enough).
$(VENV)/.installed-dev: requirements/dev.txt $(VENV)/.installed
	$(BIN)/pip install --quiet --no-deps --require-hashes -r requirements/dev.txt
	grep -oE '^[A-Za-z0-9._-]+==[^ ;]+' requirements/dev.txt > $(VENV)/constraints.txt
	$(BIN)/pip install --quiet --constraint $(VENV)/constraints.txt torch==2.13.0
	touch $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# Writes requirements/*.txt anew from pyproject.toml.
lock: $(VENV)/.installed-dev
	$(BIN)/python requirements/lock.py

# What the appliance is made of, as a CycloneDX document with every file's hash.
BOM := breathhold.cdx.json
sbom: $(SUPPLY)/.installed
	$(SUPPLY)/bin/cyclonedx-py requirements requirements/base.txt --pyproject pyproject.toml \
		--of JSON --output-file $(BOM)
	@echo "The bill of materials is in $(BOM)."

# The licences of what the daemon needs; fails on terms that nobody has agreed to.
licences: $(VENV)/.installed
	$(BIN)/python requirements/licences.py

# Known vulnerabilities of what the daemon needs; asks PyPI's database, and says when it has no answer.
audit: $(SUPPLY)/.installed
	$(SUPPLY)/bin/python requirements/audit.py

$(SUPPLY)/.installed: requirements/supply.txt
	$(PYTHON) -m venv $(SUPPLY)
	$(SUPPLY)/bin/pip install --quiet --no-deps --require-hashes -r requirements/supply.txt
	touch $@

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
	rm -rf $(VENV) $(SUPPLY) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
