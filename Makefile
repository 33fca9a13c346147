# The two commands of the README are `make demo` and `make test`. Set-up is idempotent: what is there is not made again.

PYTHON ?= python3
BIN := .venv/bin
STAMPS := .local/stamps
ONCE ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo monitor test fault-test check check-images check-notebooks docs format setup prerequisites jars kernels lock clean distclean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: setup ## Real ratings through the whole system to live recommendations (ONCE=1 stops by itself)
	@$(BIN)/recommender demo $(if $(ONCE),--once)

monitor: setup ## Prometheus and, where it is installed, Grafana beside the running demo
	@$(BIN)/recommender monitor

test: setup ## All tests: unit, integration (real broker, Spark, Delta) and end to end
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

fault-test: setup ## Kill Spark, broker and Dagster runs and fill the disk at 50 random points; compare after each
	@$(BIN)/python -m tests.fault.campaign

check: $(STAMPS)/packages ## Formatting, lint, types, import contracts, Dagster definitions, generated pages, secrets, vulnerabilities
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/dg check defs
	@$(BIN)/python -m docs.generate --check
	@$(BIN)/python -m recommender_assets.monitoring.dashboards --check
	@$(BIN)/python -m deploy.security.scan

check-images: $(STAMPS)/packages ## Do what the Dockerfiles say in a folder (network needed) and ask for its health
	@CHECK_IMAGES=1 $(BIN)/python -m pytest tests/unit/project/test_images.py tests/integration/test_service_image.py tests/integration/test_dagster_image.py

check-notebooks: $(STAMPS)/packages ## Execute every notebook on the embedded ratings
	@for notebook in notebooks/*.py; do echo "$$notebook"; MPLBACKEND=Agg $(BIN)/python -W ignore $$notebook >/dev/null || exit 1; done

docs: $(STAMPS)/packages ## Write the generated pages of docs/ and the dashboards anew
	@$(BIN)/python -m docs.generate
	@$(BIN)/python -m recommender_assets.monitoring.dashboards

format: $(STAMPS)/packages ## Format the code and sort the imports
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

setup: $(STAMPS)/packages jars kernels ## Virtual environment, jars and compiled kernels

prerequisites:
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is missing. Install it: sudo apt-get install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) -V 2>&1). \
	Install one (sudo apt-get install python3.11 python3.11-venv) and run: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	@$(PYTHON) recommender_assets/local/prerequisites.py

$(STAMPS)/packages: requirements/all.lock pyproject.toml | prerequisites
	@echo "Set-up: Python packages into .venv (about 2 GB, from the hash-pinned lock file)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/uv --version >/dev/null 2>&1 || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip sync --require-hashes requirements/all.lock --python $(BIN)/python
	@$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python --editable .
	@mkdir -p $(STAMPS) && touch $@

# Asking costs a fraction of a second: the jars are compared with their pinned hashes, the kernels with their source.
jars: $(STAMPS)/packages
	@$(BIN)/python -m recommender_assets.local.jars

kernels: $(STAMPS)/kernels

$(STAMPS)/kernels: $(STAMPS)/packages $(wildcard recommender_assets/training/*.py)
	@echo "Set-up: compiling the training kernels"
	@$(BIN)/python -m recommender_assets.training.warm_up
	@touch $@

lock: $(STAMPS)/packages ## Resolve the lock files anew from pyproject.toml
	@$(BIN)/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-emit-index-url --extra dev pyproject.toml -o requirements/all.lock
	@$(BIN)/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-emit-index-url --extra serving pyproject.toml -o requirements/serving.lock
	@$(BIN)/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-emit-index-url --constraints requirements/all.lock --extra assets --extra postgres --extra object-store pyproject.toml -o requirements/assets.lock
	@$(BIN)/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-emit-index-url --constraints requirements/all.lock --extra webserver pyproject.toml -o requirements/webserver.lock

clean: ## Forget all data: broker, tables, models, Dagster and MLflow history
	@rm -rf .local/data .local/kafka .local/dagster .local/logs .local/demo.json .local/prometheus .local/grafana

distclean: clean ## Forget the virtual environment, jars and caches as well
	@rm -rf .local .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
