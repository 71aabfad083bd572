# One command per thing a newcomer needs; `make` alone lists them.

SHELL := bash
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# Another interpreter: make setup PYTHON=/path/to/python3.11. Pip instead of uv: make setup UV=none
PYTHON ?= $(firstword $(shell command -v python3.11) $(shell command -v python3.12) python3.11)
UV ?= $(shell command -v uv)
# LOCKED=1: every file that is installed has one of the sha256 of constraints-hashes.txt, or nothing is.
LOCKED ?=
CONSTRAINTS = $(if $(LOCKED),constraints-hashes.txt,constraints.txt)
PIP = $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
EXTRAS ?= train,validate,receive,airflow,dev

# For `make demo`, on the command line: a variable DATA of the shell is not meant for us.
DATA =
WEIGHTS =

# Modules are compiled once, by whoever imports them first, also where the shell says otherwise.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help reference setup demo down status test test-all test-faults lint check format hashes sbom images up down-compose logs

# For the containers: another engine with COMPOSE=podman-compose and so on.
COMPOSE ?= docker compose
BUILD ?= docker build
# minio or seaweedfs, in a container; nothing where S3 is elsewhere (PNEUMO_S3_ENDPOINT in docker/.env)
S3 ?= minio
# Not empty: the gpu worker has CUDA and reserves the machine's NVIDIA devices
GPU ?=
# Not empty: films straight from an archive, by DICOM (RECEIVE_CALLING in docker/.env says from whom)
RECEIVE ?=
FILES := -f docker/compose.yaml $(if $(GPU),-f docker/compose.gpu.yaml)
STACK = $(COMPOSE) --env-file docker/.env $(FILES) $(if $(S3),--profile $(S3)) $(if $(RECEIVE),--profile receive)

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## Make .venv with everything in it (does nothing where it is up to date)

$(INSTALLED): pyproject.toml constraints.txt
	@command -v "$(PYTHON)" > /dev/null || { \
	  echo "Pneumo needs Python 3.11 or 3.12, and found neither python3.11 nor python3.12 on the PATH."; \
	  echo "Install one, or name it: make setup PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(if $(filter-out none,$(UV)),"$(UV)" venv --quiet --python "$(PYTHON)","$(PYTHON)" -m venv) $(VENV) || { \
	  rm -rf $(VENV); echo "No virtual environment could be made. On Debian and Ubuntu: apt install python3.11-venv"; exit 1; }
	@uv="$(UV)"; \
	if [ -z "$$uv" ]; then $(PIP) uv && uv=$(BIN)/uv || uv=none; fi; \
	echo "Installing the packages of constraints.txt into $(VENV) (half a minute to some minutes the first time)"; \
	if [ "$$uv" != none ]; then \
	  "$$uv" pip install --quiet --python $(BIN)/python --verify-hashes --constraint $(CONSTRAINTS) --editable '.[$(EXTRAS)]' && exit 0; \
	  test -z "$(LOCKED)" || { echo "LOCKED: a package is not the one of $(CONSTRAINTS), or could not be had."; exit 1; }; \
	  test -x $(BIN)/pip || exit 1; \
	  echo "uv could not: trying again with pip (some minutes)"; \
	fi; \
	$(PIP) --editable '.[$(EXTRAS)]'
	@touch $@

demo: setup ## Run everything here: DATA=folder (default: drawn phantoms) WEIGHTS=path|imagenet|random
	@$(BIN)/python -m pneumo_tasks.local.demo --data "$(DATA)" --weights "$(WEIGHTS)"

status: setup ## Say what `make demo` left running, and where
	@$(BIN)/python -m pneumo_tasks.local.stack status

down: ## Stop what `make demo` started, and nothing else
	@test -x $(BIN)/python || { echo "Nothing was set up here, so nothing is running."; exit 0; }; \
	  $(BIN)/python -m pneumo_tasks.local.stack down

# A server, and a copy of TensorFlow where a test needs it, for each process: two are what 8 GB hold.
WORKERS ?= $(shell n=$$(nproc 2> /dev/null || echo 2); echo $$((n < 2 ? 2 : n > 4 ? 4 : n)))

test: setup ## Run what answers in minutes: no training, no scheduler (WORKERS=2 processes)
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile -m 'not slow and not stress and not browser'

test-all: test ## Then the slow ones too: training, a scheduler, installations of the wheel
	@$(BIN)/python -m pytest -m 'slow and not stress and not browser'

test-faults: setup ## Run the tests behind a proxy that damages what the S3 server says
	@$(BIN)/python -m pytest tests/faults

lint: setup ## Formatting, lint, types
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy

check: lint test ## Formatting, lint, types, then the tests that answer in minutes

format: setup ## Format the code and mend what ruff can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

hashes: setup ## Write constraints-hashes.txt: the sha256 of every file of the versions in constraints.txt
	@$(BIN)/uv pip compile constraints.txt --generate-hashes --no-deps --no-header --no-annotate --quiet \
	  --python-version 3.11 --output-file constraints-hashes.txt > /dev/null

sbom: setup ## Write sbom.json (CycloneDX) and licences.txt of what is installed in .venv
	@$(BIN)/uv tool run --quiet --from cyclonedx-bom==7.5.0 cyclonedx-py environment $(BIN)/python \
	  --output-reproducible --output-format JSON --output-file sbom.json
	@$(BIN)/python docs/licences.py sbom.json > licences.txt

reference: setup ## Write docs/reference/ from the code
	@$(BIN)/python docs/generate.py

images: ## Build both images: GPU=1 with CUDA, otherwise TensorFlow for the CPU
	@$(BUILD) -f docker/airflow.Dockerfile -t pneumo/airflow:local .
	@$(BUILD) -f docker/gpu-worker.Dockerfile -t pneumo/gpu-worker:local --build-arg TENSORFLOW=$(if $(GPU),gpu,train) .

up: ## Start the server stack in containers (after `make images`): S3=minio|seaweedfs GPU=1 RECEIVE=1
	@docker/environment.sh
	@$(STACK) up -d --no-build
	@docker/wait.sh

down-compose: ## Stop the server stack and keep its volumes
	@$(STACK) down

logs: ## Follow what the server stack says
	@$(STACK) logs -f --tail 50
