# make sweep [ARGS="hydra.sweeper.n_trials=30"]   set up and run sweeps/quick.yaml
# make train [ARGS="model.layers=3"]   set up and run one training
# make test                            set up and run the tests
# make slow                            whole trainings and sweeps, interrupted, killed and continued
# make compat                          try the wheel where there is no torch, and Hydra 1.4
# make browser                         look at MLflow's pages with chromium, which must be installed
# make services                        sweeps on PostgreSQL, a tracking server and a Ray cluster
# make check                           lint, format, types
PYTHON ?= python3
BIN := .venv/bin

.PHONY: sweep train test slow torture compat browser services check benchmarks
sweep: .venv/installed
	$(BIN)/python src/train.py -m sweeps=quick $(ARGS)

train: .venv/installed
	$(BIN)/python src/train.py $(ARGS)

test: .venv/tested
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(ARGS)

slow: .venv/tested
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m slow $(ARGS)

torture: .venv/tested
	$(BIN)/python -m pytest -n 2 -m torture $(ARGS)

compat: .venv/tested
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m compat $(ARGS)

browser: .venv/browser
	$(BIN)/python -m pytest -m browser tests/browser $(ARGS)

services: .venv/services
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m services $(ARGS)

check: .venv/services
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright

benchmarks: .venv/tested
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/busy.py 1

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade --constraint constraints.txt pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --build-constraint constraints.txt --editable ".[all]"
	touch $@

.venv/tested: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group dev
	touch $@

.venv/browser: .venv/tested
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group browser
	touch $@

.venv/services: .venv/tested
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[all,postgresql,ray]"
	touch $@
