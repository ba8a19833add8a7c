VENV := .venv
PYTHON := $(VENV)/bin/python

.PHONY: sweep test check benchmark clean

sweep: $(VENV)/installed
	$(PYTHON) -m minibert.run +experiment=masking_sweep

test: $(VENV)/installed-test
	$(PYTHON) -m pytest

# Style, format and types.
check: $(VENV)/installed-dev
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m pyright --pythonpath $(PYTHON)

# Against PyTorch and transformers where the extra `parity` is installed; without them, those are skipped by name.
# Besides the training step: benchmark-optimizers, benchmark-positions, benchmark-diagnostics, benchmark-scaling.
benchmark: benchmark-train_step

benchmark-%: $(VENV)/installed
	$(PYTHON) -m tests.benchmarks.$*

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

clean:
	rm -rf $(VENV)
