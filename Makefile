# make demo   raw samples -> packed shards -> a small trained model     make test   all quick tests
# make lint   ruff, mypy, import-linter     make conformance   the long comparisons     make bench   speeds
# make packages   wheel and sdist, installed in clean environments     make portable   tests without what only Linux has
# make docs   the documentation as a site, in build/site
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO ?= out/demo
INSTALLED := $(VENV)/.installed

.PHONY: demo test lint kernels docs packages portable bench conformance clean

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $(INSTALLED)

demo: $(INSTALLED)
	BIN=$(BIN) sh demo/run.sh $(DEMO)

test: $(INSTALLED)
	$(BIN)/python -m pytest -q -n 2 --dist loadfile tests

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile

kernels: $(INSTALLED)
	$(BIN)/python tools/compile_kernels.py

docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

packages: $(INSTALLED)
	$(BIN)/python -m pytest -q -m slow tests/install

portable: $(INSTALLED)
	CORPUSMILL_PORTABLE=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile tests

conformance: $(INSTALLED)
	CORPUSMILL_CCNET=$$($(BIN)/python -m benchmarks.ccnet) CORPUSMILL_LMPLZ=$$($(BIN)/python -m benchmarks.lmplz) \
		$(BIN)/python -m pytest -q -m 'slow or not slow' tests

bench: $(INSTALLED)
	$(BIN)/python -m benchmarks.spine
	for name in dedup chain perplexity tokenize mix read extract trainer; do $(BIN)/python -m benchmarks.$$name || exit 1; done

clean:
	rm -rf out build dist .mypy_cache .ruff_cache .pytest_cache
