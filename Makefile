PYTHON ?= python3
VENV := .venv
# The locked requirements: cpu, gpu or jax; by default what KERAS_BACKEND asks for, what is installed, else cpu.
INSTALLED := $(firstword $(patsubst $(VENV)/.installed-%,%,$(wildcard $(foreach g,gpu jax cpu,$(VENV)/.installed-$(g)))))
GROUP ?= $(if $(filter jax,$(KERAS_BACKEND)),jax,$(if $(INSTALLED),$(INSTALLED),cpu))
ifeq ($(GROUP),jax)
export KERAS_BACKEND := jax
endif
PORT ?= 5000
DASHBOARD_PORT ?= 8080
SERVE_PORT ?= 5001
DOCS_PORT ?= 8000
MODEL ?= datspect@champion
FUZZ_INPUTS ?= 10000
ATTACK_INPUTS ?= 2000
MINUTES ?= 3
TEST_WORKERS ?= 2
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# The project's own virtual environment and nothing around it.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true
# As the package sets it; benchmarks load TensorFlow before the package.
export TF_CPP_MIN_LOG_LEVEL ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev repro tables verify ui serve tracking-server cluster tune dashboard test test-long test-fast fuzz attack bench bench-tuning bench-finetune gpu-bundle bench-predict bench-import bench-striatum bench-registration bench-silence bench-robustness sensitivity lint types imports check format lock readme deps docs docs-serve release images

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | awk -F'\t' '{printf "  make %-15s %s\n", $$1, $$2}'

setup: $(VENV)/.installed-$(GROUP) ## install into .venv (GROUP=cpu, gpu or jax)

setup-dev: $(VENV)/.installed-dev

GROUPS := cpu gpu jax
$(GROUPS:%=$(VENV)/.installed-%): $(VENV)/.installed-%: requirements/%.txt pyproject.toml
	@for other in $(filter-out $@,$(wildcard $(GROUPS:%=$(VENV)/.installed-%))); do rm -rf $(VENV); done
	@PYTHON="$(PYTHON)" sh scripts/install "$(VENV)" requirements/$*.txt
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed-$(GROUP) requirements/dev.txt
	@PYTHON="$(PYTHON)" sh scripts/install "$(VENV)" requirements/$(GROUP).txt requirements/dev.txt
	@touch $@

repro: setup ## rebuild everything: phantom cohort, features, models, report
	@sh scripts/prepare-dvc
	dvc repro
	@echo
	@datspect tables
	@echo
	@datspect register || echo "The results are whole; datspect register offers the model once MLflow answers"
	@echo
	@echo "One page to show: reports/report.html"
	@echo "Runs, curves and models: make ui"
	@echo
	@datspect reproduced || [ $$? -eq 3 ]

tables: setup ## print Table 1 and Table 2 beside the paper's: one more look at the test set
	@datspect tables --holdout

verify: setup ## compare every output on disk and in DVC's cache with dvc.lock, file by file
	@datspect verify

ui: setup ## open MLflow on the runs (PORT=5000)
	@sh scripts/mlflow-ui $(PORT)

serve: setup ## serve the champion to this machine (SERVE_PORT=5001, MODEL=datspect@champion, SERVE=--unverified)
	@sh scripts/serve $(SERVE_PORT) $(MODEL) $(SERVE)

tune: setup ## search for better values of the classifier and the learning rates (section tune of params.yaml)
	datspect tune

dashboard: setup $(VENV)/.installed-studies ## open optuna-dashboard on the studies (DASHBOARD_PORT=8080)
	@sh scripts/dashboard $(DASHBOARD_PORT)

tracking-server: setup $(VENV)/.installed-server ## start a team's MLflow server with login and PostgreSQL (docs/tracking-server.md)
	@sh scripts/tracking-server $(PORT)

cluster: setup $(VENV)/.installed-cluster ## install what executor.kind: dask needs (docs/cluster.md)

$(VENV)/.installed-studies $(VENV)/.installed-server $(VENV)/.installed-cluster $(VENV)/.installed-docs: $(VENV)/.installed-%: $(VENV)/.installed-$(GROUP) requirements/%.txt
	@PYTHON="$(PYTHON)" sh scripts/install "$(VENV)" requirements/$(GROUP).txt requirements/$*.txt
	@touch $@

test: setup-dev ## run the tests but the long ones (TEST_WORKERS=2 at a time)
	pytest -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder -m "not long"

test-long: setup-dev ## run the long tests alone: many repeats, graphs on JAX, the GPU bundle
	pytest -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder -m long

test-fast: setup-dev ## run the tests that take seconds
	pytest -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder -m "not slow and not long"

fuzz: setup-dev ## throw damaged files at the readers (FUZZ_INPUTS=10000, some minutes)
	DATSPECT_FUZZ_EXAMPLES=$(FUZZ_INPUTS) pytest -s --timeout=0 tests/fuzz

attack: setup-dev ## attack the server, the readers and all else on this machine, after make repro (MINUTES=3; half an hour)
	python benchmarks/attack.py --minutes $(MINUTES) --campaigns $(ATTACK_INPUTS)

bench: setup-dev ## measure speed into docs/measurements.md, after make repro (40 to 70 minutes, quiet machine)
	python benchmarks/run_all.py

bench-tuning: setup-dev ## measure a trial against plain fit, after make repro (about 10 minutes, quiet machine)
	python benchmarks/tuning.py

bench-finetune: setup-dev ## measure fine-tuning, after make repro (about 25 minutes, quiet machine; docs/gpu.md)
	python benchmarks/finetune.py

gpu-bundle: setup-dev ## pack tmp/gpu-bundle, which measures and trains on a GPU machine without a package index (docs/gpu.md)
	@sh scripts/prepare-dvc
	dvc repro preprocess split backbone
	@sh scripts/gpu-bundle

bench-predict: setup-dev ## measure datspect predict and the served model, after make repro and datspect promote (15 minutes)
	python benchmarks/predicting.py
	python benchmarks/serving.py

bench-import: setup-dev ## measure import and preprocess, after make repro (about 10 minutes, quiet machine)
	python benchmarks/importing.py

bench-striatum: setup-dev ## measure the model of the whole striatum into docs/striatum.md, after make repro (about an hour, quiet machine)
	python benchmarks/striatum.py seeds ablations learning unlike cost pictures --into docs/striatum.md

bench-registration: setup-dev ## measure how native phantoms are placed into docs/hospital.md, after make repro (most of an hour; 659 scans, 100 hopeless ones and two models took 53 min)
	python benchmarks/registration.py --into docs/hospital.md

bench-silence: setup-dev ## measure what is said of things that are no DaT scan of a head into docs/serving.md, after make repro here and in striatum/ (docs/robustness.md; 15 minutes)
	python benchmarks/silence.py --predictors models/predictor striatum/models/predictor --seed 4003 --into docs/serving.md

bench-robustness: setup-dev ## measure altered scans out of fold into docs/robustness.md, after make repro (36 minutes; 7 for the striatum's, --project)
	python benchmarks/robustness.py --into docs/robustness.md

sensitivity: setup-dev ## try the paper's open choices and five seeds by DVC experiments (about 75 minutes)
	python benchmarks/sensitivity.py --into docs/measurements.md

lint: setup-dev ## run ruff
	ruff check .
	ruff format --check .

types: setup-dev ## run mypy
	mypy

imports: setup-dev ## test the import contracts
	lint-imports

check: lint types imports ## run lint, types and imports

format: setup-dev ## format the code
	ruff check --fix .
	ruff format .

readme: setup ## renew the tables in README.md and docs/results.md from reports/
	datspect tables --brief --into README.md
	datspect tables --holdout --into docs/results.md

release: setup-dev ## check that this commit can be released, build dist/, say what would be tagged (docs/releasing.md)
	@sh scripts/release

lock: setup-dev ## renew requirements/*.txt (hashes, all platforms, no index address)
	sh scripts/lock

images: setup-dev ## draw the pictures of the README into docs/images, after make repro (two minutes; mlflow.png needs Chromium)
	@python scripts/images.py

deps: setup-dev ## write what each stage imports among its deps in dvc.yaml
	@python scripts/stage_deps.py

docs: setup $(VENV)/.installed-docs ## build the documentation site into tmp/website/site; a link that leads nowhere is an error
	@python -m scripts.website

docs-serve: setup $(VENV)/.installed-docs ## build it and show it to this machine, with its search (DOCS_PORT=8000)
	@python -m scripts.website --serve $(DOCS_PORT)
