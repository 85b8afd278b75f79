# What a contributor and CI run. `make help` lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO_SECONDS ?= 0
SOAK_MINUTES ?= 30
# Where it is set, each process that a test or the demo starts compiles all it imports anew: 3 s for a layer.
unexport PYTHONDONTWRITEBYTECODE
# Three processes, also on two cores, since each waits for others a third of its time; each has its own broker, and one
# of them all the tests that need a Spark session (tests/conftest.py). The slow files come first in the order of names.
PYTEST := $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

demo: $(READY)  ## the whole thing on a real broker: batch, kill, late record, proof; DEMO_SECONDS=n bounds it
	@$(BIN)/dovetail demo --folder .cache/demo --seconds $(DEMO_SECONDS)

test: $(READY)  ## every test but the long ones
	@$(PYTEST) -m "not long"

test-long: $(READY)  ## the long tests too
	@$(PYTEST)

soak: $(READY)  ## load, a kill a minute and batches, every answer checked; SOAK_MINUTES=n, 30 where not given
	@$(BIN)/dovetail torture --soak $(SOAK_MINUTES) --folder .cache/soak

check: $(READY)  ## format, lint, types, and which layer may import which
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

format: $(READY)  ## put the code into its format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix-only .

docs: $(READY)  ## the reference pages, from the docstrings
	@$(BIN)/python docs/generate.py

classes: $(READY)  ## renew the list of classes that Spark's archive is made of, after a new Spark or Delta
	@$(BIN)/python -m bench.class_list

mutants: $(READY)  ## take out each guard in a copy and see its test go red; K=word for some of them
	@$(BIN)/python tests/mutants/run.py -j 2 -k "$(K)"

bench: $(READY)  ## freshness, batch speed and answer latency, each against a control in the same run
	@$(BIN)/python -m bench

wheel: $(READY)  ## build dist/*.whl
	@rm -rf dist && if command -v uv >/dev/null; then uv build -q --wheel; else $(BIN)/python -m pip wheel -q --no-deps -w dist .; fi
	@ls dist

constraints: $(READY)  ## renew conf/constraints.txt from what the package indexes hold now
	@uv pip compile -q --universal --no-header --no-annotate --no-emit-index-url --all-extras --group dev pyproject.toml -o conf/constraints.txt --upgrade

test-cluster: $(READY)  ## the tests of the joint on a real Spark cluster of two workers, by settings alone
	@$(BIN)/python tests/spark_cluster.py $(BIN)/python -m pytest tests/e2e/test_depot.py

test-s3: $(READY)  ## storage roots in a store of S3's protocol: its faults, two writers, and the tests of the joint
	@$(BIN)/python -m pytest tests/s3
	@$(BIN)/python tests/s3_store.py $(BIN)/python -m pytest tests/e2e/test_depot.py

setup: $(READY)  ## make the virtual environment

test-trino: $(READY)  ## the views in a real Trino server, against the API and the records; fetches 822 MB once
	@$(BIN)/python -m pytest tests/trino

clean:  ## remove what was made
	@rm -rf $(VENV) .cache dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(READY): pyproject.toml conf/constraints.txt Makefile
	@command -v java >/dev/null || { echo "Java 17 or newer is needed: apt-get install openjdk-17-jre-headless, or brew install openjdk@17"; exit 3; }
	@echo "installing into $(VENV) (pyspark is built from source: about a minute the first time)"
	@if command -v uv >/dev/null; then \
		uv venv -q --allow-existing $(VENV) && \
		uv pip install -q --python $(BIN)/python -c conf/constraints.txt -e '.[spark,trino,s3,otel,lineage,test]' --group dev; \
	else \
		python3 -m venv $(VENV) && $(BIN)/python -m pip install -q --upgrade 'pip>=25.1' && \
		$(BIN)/python -m pip install -q -c conf/constraints.txt -e '.[spark,trino,s3,otel,lineage,test]' --group dev; \
	fi
	@touch $@

.PHONY: help demo test test-long test-cluster test-trino test-s3 soak check format docs classes mutants bench wheel constraints setup clean
