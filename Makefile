VENV := .venv
PYTHON := $(VENV)/bin/python

NOTEBOOKS := $(patsubst %.py,%.ipynb,$(wildcard analysis/notebooks/*.py))

.PHONY: sweep test check docs benchmark notebooks notebooks-build clean

sweep: $(VENV)/installed
	$(PYTHON) -m minibert.run +experiment=masking_sweep

test: $(VENV)/installed-test
	$(PYTHON) -m pytest

# Style, format and types.
check: $(VENV)/installed-dev
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m pyright --pythonpath $(PYTHON)

# The documentation as a site. A link or an anchor that leads nowhere is an error. The switch is that of Material for MkDocs for
# its note about the next major version of MkDocs, which the extra `docs` does not allow.
docs: $(VENV)/installed-docs
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --strict
	@echo "build/site holds the site. To read it: $(PYTHON) -m http.server --directory build/site, then http://127.0.0.1:8000"

# Against PyTorch and transformers where the extra `parity` is installed; without them, those are skipped by name.
# Besides the training step: benchmark-short_runs, benchmark-optimizers, benchmark-positions, benchmark-diagnostics and the others
# in docs/speed.md
benchmark: benchmark-train_step

benchmark-%: $(VENV)/installed
	$(PYTHON) -m tests.benchmarks.$*

# Opens the notebooks, with outputs. One that fails does not keep the others from opening.
notebooks: $(VENV)/installed-notebooks
	-$(MAKE) --keep-going notebooks-build
	$(PYTHON) -m jupyterlab analysis/notebooks

# Runs those that are missing or older than their text, one after the other: each uses all cores. Jupytext touches the
# text after it has written the outputs.
notebooks-build: $(NOTEBOOKS)

analysis/notebooks/%.ipynb: analysis/notebooks/%.py | $(VENV)/installed-notebooks
	$(PYTHON) -m jupytext --to ipynb --execute --output $@ $<
	touch $@

$(PYTHON):
	python3 -m venv $(VENV)

$(VENV)/installed: pyproject.toml | $(PYTHON)
	$(PYTHON) -m pip install --quiet --editable .
	touch $@

$(VENV)/installed-test: pyproject.toml | $(PYTHON)
	$(PYTHON) -m pip install --quiet --editable '.[test]'
	touch $@ $(VENV)/installed

$(VENV)/installed-dev: pyproject.toml | $(PYTHON)
	$(PYTHON) -m pip install --quiet --editable '.[dev]'
	touch $@ $(VENV)/installed

$(VENV)/installed-docs: pyproject.toml | $(PYTHON)
	$(PYTHON) -m pip install --quiet --editable '.[docs]'
	touch $@ $(VENV)/installed

$(VENV)/installed-notebooks: pyproject.toml | $(PYTHON)
	$(PYTHON) -m pip install --quiet --editable '.[notebooks]'
	touch $@ $(VENV)/installed

clean:
	rm -rf $(VENV)
