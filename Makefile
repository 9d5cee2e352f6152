# Two commands do everything on a fresh machine with Python 3.11 and make: `make run` and `make test`.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# One version, so that a build without CUDA is taken where the index has it (about 0.8 GB installed, several GB with CUDA)
TORCH := 2.13.0

# Tests and trials start some hundred processes of the same code: none compiles it again
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run dev test lint mutants bench docs bare test-extras stress clean

run: $(VENV)/.core
	$(BIN)/sima2 run --out results

dev: $(VENV)/.dev

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

mutants: $(VENV)/.dev
	$(BIN)/python scripts/mutants.py --json mutants.json

bench: $(VENV)/.core
	$(BIN)/sima2 bench throughput

docs: $(VENV)/.dev
	$(BIN)/python scripts/api_reference.py site

bare:
	$(PYTHON) scripts/try_wheel.py

test-extras: $(VENV)/.extras
	$(BIN)/python -m pytest -m extras
	$(PYTHON) scripts/try_wheel.py --extras --pin torch==$(TORCH)

stress: $(VENV)/.dev
	$(BIN)/python -m pytest -m stress -n auto --ignore tests/stress/test_scale.py
	$(BIN)/python -m pytest -m stress tests/stress/test_scale.py

clean:
	rm -rf $(VENV) results site

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: pyproject.toml | $(VENV)/bin/python
	$(PIP) --editable .
	touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(PIP) --editable '.[sim,dev]'
	touch $(VENV)/.core $@

$(VENV)/.extras: pyproject.toml | $(VENV)/bin/python
	$(PIP) 'torch==$(TORCH)'
	$(PIP) --editable '.[sim,dev,rdf,torch,ray,video,query,rerun,mcap,hdf5,remote]' aiohttp s3fs 'moto[server]' pandas
	touch $(VENV)/.core $(VENV)/.dev $@
