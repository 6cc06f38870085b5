# The verbs of this repository. Needs make, Python 3.11 to 3.13 and the internet; everything is made in .venv here.
# uv is used where it is on PATH (it is faster), pip otherwise.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Installs into the environment $(1). An older uv does not know dependency groups.
ifneq ($(shell uv pip install --help 2>/dev/null | grep -e '--group'),)
install = uv pip install --quiet --python $(1)/bin/python
else
install = $(1)/bin/python -m pip install --quiet
endif

# Salver is compiled once, as an installed package is, whatever the shell says: else each process that tests start compiles it.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test check bench soak programs clean

help:  ## list the verbs
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-6s  %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.demo  ## train a model, serve it, ask it, show the log (KEEP=1 leaves it running)
	@$(BIN)/python examples/demo.py $(if $(KEEP),--keep)

# No worker is started anew: pytest-xdist with `loadfile` waits for ever for one that came late.
test: $(VENV)/.dev programs  ## run the tests
	$(BIN)/python -m pytest tests/conformance --numprocesses 2 --max-worker-restart 0 --dist worksteal
	$(BIN)/python -m pytest --ignore tests/conformance -m "not soak and not alone" --numprocesses 2 --max-worker-restart 0 --dist loadfile
	$(BIN)/python -m pytest --ignore tests/conformance -m "alone and not soak"

check: $(VENV)/.dev  ## style, types, layers, documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/python -m pytest tests/test_architecture.py tests/test_docs.py -k "not can_be_done"

bench: .bench/.made  ## measure beside nginx, Flask and FastAPI (needs wrk and nginx; WRITE=1 fills the tables in the docs)
	.bench/bin/python -m benchmarks.run $(if $(WRITE),--write)
	.bench/bin/python -m benchmarks.startup $(if $(WRITE),--write)
	.bench/bin/python -m benchmarks.drift $(if $(WRITE),--write)

soak: $(VENV)/.dev programs  ## the long runs
	$(BIN)/python -m pytest -m soak --timeout 7200

# The servers that tests start, each with Debian's package. The path is that of root, where some of them lie.
PROGRAMS := postgres:postgresql redis-server:redis-server nats-server:nats-server rabbitmq-server:rabbitmq-server chromium:chromium

programs:  ## the servers that tests start, from Debian (installs what is missing, as root)
	@PATH="$$PATH:/usr/sbin:$$(echo /usr/lib/postgresql/*/bin)"; missing=; \
	for pair in $(PROGRAMS); do command -v $${pair%%:*} >/dev/null || missing="$$missing $${pair##*:}"; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then echo "the tests start servers: install$$missing" >&2; exit 1; fi; \
	echo "installing$$missing"; apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null

clean:  ## remove everything that was made
	rm -rf $(VENV) .bench .demo dist build .ruff_cache .hypothesis .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps: an environment is made anew in parts only when what it is made from has changed.

$(VENV)/.demo: $(VENV)/.made pyproject.toml
	@echo "installing Salver and scikit-learn in $(VENV)"
	@$(call install,$(VENV)) --editable '.[train]'
	@touch $@

# PyTorch comes by pip, ahead of the rest: from a wheel on disk where pip knows one, else its CPU build, a tenth of the size.
torch = $(1)/bin/python -m pip install --quiet --no-deps torch==2.13.0

$(VENV)/.dev: $(VENV)/.made pyproject.toml
	@echo "installing Salver and what its tests need in $(VENV)"
	@$(call torch,$(VENV)) --no-index 2>/dev/null || $(call torch,$(VENV)) --extra-index-url https://download.pytorch.org/whl/cpu
	@$(call install,$(VENV)) --editable . --group dev
	@touch $@

.bench/.made: pyproject.toml benchmarks/requirements.txt
	@$(call environment,.bench)
	@echo "installing Salver and its peers in .bench"
	@$(call install,.bench) --editable '.[train]' --requirement benchmarks/requirements.txt
	@touch $@

$(VENV)/.made:
	@$(call environment,$(VENV))
	@touch $@

# pip before 25.1 does not know dependency groups.
define environment
	$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else \
	  "Salver needs Python 3.11 to 3.13; name one: make PYTHON=python3.12")' \
	&& $(PYTHON) -m venv $(1) && $(1)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
endef
