# make demo    the whole pipeline on real text, in minutes on two CPU cores
# make test    everything that proves it
# make bench   speed, side by side with the alternatives
# Both do all their own set-up in .venv/.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export PATH := $(CURDIR)/$(BIN):$(PATH)
export OMP_NUM_THREADS := 1
export HF_HUB_OFFLINE := 1
export TOKENIZERS_PARALLELISM := false
export DS_ACCELERATOR := cpu

.PHONY: demo test bench check format clean

demo: $(READY)
	@mkdir -p .snakemake
	@flock --close --nonblock .snakemake/demo.lock $(MAKE) --no-print-directory run-demo || \
	    { echo "The demo did not finish. If another run holds .snakemake/demo.lock, wait for it."; exit 1; }

# The lock above is the system's and dies with its holder; Snakemake's own outlives a kill, and so has to be removed.
.PHONY: run-demo
run-demo:
	@snakemake --profile demo --unlock >/dev/null 2>&1
	@snakemake --profile demo
	@python -m mira summary results/demo

test: $(READY)
	@python -m pytest

bench: $(READY)
	@python bench/client.py
	@python bench/journal_restart.py

check: $(READY)
	ruff check . && ruff format --check . && mypy && snakefmt --check Snakefile rules
	snakemake --profile demo --lint

format: $(READY)
	ruff check --fix . ; ruff format . ; snakefmt Snakefile rules

# torch first: where a CPU wheel is at hand, the others then build on it.
$(READY): requirements.txt requirements-dev.txt constraints.txt pyproject.toml
	@echo "setting up $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt \
	    -r requirements.txt -r requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

clean:
	rm -rf $(VENV) results/demo logs benchmarks .snakemake
