# `make test` is what CI runs. Nothing here needs a GPU but bench-gpu.
PYTHON ?= python

.PHONY: check test test-all format bench bench-gpu lock
check:  ## format, lint, types: seconds
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy

# A process a core, one thread each: processes that share cores would wait for each other's threads.
PYTEST = OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(PYTHON) -m pytest -n auto --dist worksteal

test: check  ## check and the fast tests
	$(PYTEST) -m "not slow"

test-all: check  ## every test
	$(PYTEST)

format:  ## rewrite in the house style
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .

bench:  ## speed as ratios, measured in one run each
	$(PYTHON) -m bench

bench-gpu:  ## the same on a GPU
	$(PYTHON) -m bench --gpu

lock:  ## requirements.lock from requirements.txt (pip install uv)
	grep -v '^-e' requirements.txt | uv pip compile - --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links -o requirements.lock
