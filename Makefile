# `make demo` and `make test` are all a newcomer needs; both build first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SOURCES := $(shell find gateway native -path native/test -prune -o -type f -not -name '*.pyc' -print) \
	pyproject.toml meson.build README.md

# The thread checker's shadow has no room for the widest address randomization; not every container may
# turn it off, nor has to.
SAME_ADDRESSES := $(shell setarch -R true 2>/dev/null && echo setarch -R)

# As many at once as there are CPUs, the output of each in one piece.
ALL_CPUS := -j$(shell nproc) -Otarget

# Many tests wait for a gateway more than they compute: three for two CPUs keep them busy. With four of them
# processes stood still for tenths of a second, and some test that had something else in mind failed.
TESTS_AT_ONCE := $(shell echo $$((($$(nproc) * 3 + 1) / 2)))

.PHONY: build demo test test-long lint conformance fuzz bench steps clean
build: $(VENV)/.built $(VENV)/.developers

# What a system lacks is said in its own words, before a compiler says it in others.
$(VENV)/.tools: pyproject.toml
	@$(PYTHON) .ci/needs.py
	@echo "== 1 of 3: the tools that build it, into $(VENV)"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade 'pip>=25.1'
	$(PIP) install --group build
	@echo "== 2 of 3: what it needs to run"
	@$(BIN)/python .ci/needs.py --requirements > $(VENV)/requirements.txt
	$(PIP) install --requirement $(VENV)/requirements.txt
	@touch $@

# Without isolation, so that a rebuild does not fetch the build tools again; found by their path.
# The compiler's lines are shown, since it takes the longest.
$(VENV)/.built: $(VENV)/.tools $(SOURCES)
	@echo "== 3 of 3: compile and install"
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python .ci/progress.py \
	  $(PIP) install --no-build-isolation --no-deps -v .
	@touch $@

# Linters, test tools, browsers' drivers: half a gigabyte that a demo has no use for.
$(VENV)/.developers: pyproject.toml | $(VENV)/.built
	@echo "== the developers' tools"
	$(PIP) install --group dev
	@touch $@

demo: $(VENV)/.built
	$(BIN)/tickgate demo

test: build
	$(MAKE) $(ALL_CPUS) --no-print-directory -C native/test asan
	$(SAME_ADDRESSES) $(MAKE) $(ALL_CPUS) --no-print-directory -C native/test tsan
	$(BIN)/pytest -n $(TESTS_AT_ONCE) --dist worksteal -m "not alone" --durations=10
	$(BIN)/pytest -m alone --durations=5

# What takes too long for each run: a thousand seeds of the simulation, thousands of the models.
test-long: build
	$(MAKE) --no-print-directory -C native/test simulation-long model-long book-long
	cd tests && PYTHONPATH=. ../$(BIN)/python -m support.leaks 10000

lint: build
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/cython-lint native/cython

# The Autobahn test suite, where it is installed; CONFORMANCE='--url ws://...' for another echo.
conformance: build
	PYTHONPATH=tests $(BIN)/python tests/conformance/autobahn.py $(CONFORMANCE)

# All targets, 10 s each, two at a time; FUZZ='--seconds 600 frames' for some, or longer.
fuzz: build
	PYTHONPATH=tests $(BIN)/python tests/fuzz/run.py $(FUZZ)

bench: build
	$(BIN)/python bench/micro/micro.py

# The longest cycle of the plane in each of its steps; STEPS='--clients 100 growth' for some, or smaller.
steps: build/steps/steps
	$< $(STEPS)

build/steps/steps: $(wildcard bench/steps/*) $(wildcard native/gw_*) native/test/trade_program.h native/test/book_program.h
	mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE -O3 -Wall -Wextra -Wpedantic -Werror -pthread -Inative -Inative/test \
	  $(filter %.c,$^) -lm -o $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -rf clients/typescript/build clients/typescript/dist clients/typescript/node_modules
	find gateway tests bench -name __pycache__ -type d -prune -exec rm -rf {} +
