VENV := .venv
PYTHON := $(VENV)/bin/python

.PHONY: sweep test clean

sweep: $(VENV)/installed
	$(PYTHON) -m minibert.run +experiment=masking_sweep

test: $(VENV)/installed-test
	$(PYTHON) -m pytest

$(PYTHON):
	python3 -m venv $(VENV)

$(VENV)/installed: pyproject.toml | $(PYTHON)
	$(PYTHON) -m pip install --quiet --editable .
	touch $@

$(VENV)/installed-test: pyproject.toml | $(PYTHON)
	$(PYTHON) -m pip install --quiet --editable '.[test]'
	touch $@ $(VENV)/installed

clean:
	rm -rf $(VENV)
