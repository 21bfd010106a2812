"""Settings and closed wildcards; the only rules file with functions."""

import json
import os
import shutil
import sys

from snakemake.exceptions import WorkflowError

sys.path.insert(0, str(Path(workflow.basedir)))

from mira.config import parse_config
from mira.errors import UserError
from mira.sampling.readers import source_files


def read_settings():
    """The checked settings; a mistake in them stops the run with its message alone."""
    if not config:
        raise WorkflowError(
            "No settings: use --profile demo, or --configfile with a file made from "
            "config/own-data.yaml."
        )
    try:
        return parse_config(
            config, ", ".join(map(str, workflow.configfiles)) or "config"
        )
    except UserError as error:
        raise WorkflowError(str(error)) from None


def files_by_source():
    """The files of every source that is read from disk."""
    try:
        return {
            name: [str(path) for path in source_files(name, source)]
            for name, source in SETTINGS.sources.items()
            if source.path is not None
        }
    except UserError as error:
        raise WorkflowError(str(error)) from None


SETTINGS = read_settings()
RUN = SETTINGS.run
SEED = SETTINGS.seed
STAND_IN = SETTINGS.stand_in()
SOURCES = sorted(SETTINGS.sources)
HARVESTED = [name for name in SOURCES if SETTINGS.sources[name].harvest]
GROUPS = SETTINGS.group_names()
SHARDS = [f"{i:05d}" for i in range(SETTINGS.scoring.shards)]
METHODS = SETTINGS.selection.methods
SPOILED = SETTINGS.sampling.spoil_share > 0 and bool(HARVESTED)
SOURCE_FILES = files_by_source()


wildcard_constraints:
    run=RUN,
    source="|".join(SOURCES),
    group="|".join(GROUPS),
    shard="|".join(SHARDS),
    method="|".join(METHODS),


def rows_of_source(wildcards):
    """Where a source's rows come from: the user's files, or the harvest."""
    if wildcards.source in SOURCE_FILES:
        return SOURCE_FILES[wildcards.source]
    return f"results/{RUN}/sampling/raw/{wildcards.source}.jsonl"


def student_base(wildcards):
    """Model folder that students start from where it is made here; else nothing to wait for."""
    if SETTINGS.distillation.base_model is None:
        return f"results/{RUN}/distillation/base/model"
    return []


def section(name, *keys):
    """Part of the settings as plain values: a whole section, or some of its keys."""
    values = getattr(SETTINGS, name).model_dump()
    return {key: values[key] for key in keys} if keys else values


def scoring_gpus():
    """GPUs of one replica; none behind an endpoint, nor for the small students made here."""
    if SETTINGS.scoring.served or not SETTINGS.students_are_large():
        return 0
    return (
        SETTINGS.scoring.vllm.tensor_parallel
        if SETTINGS.scoring.engine == "vllm"
        else 1
    )


VLLM_HERE = SETTINGS.scoring.engine == "vllm" and not SETTINGS.scoring.served
SCORING_ENV = f"../envs/{'vllm' if VLLM_HERE else 'train'}.yaml"
SCORING_PYTHON = (VLLM_HERE and SETTINGS.scoring.vllm.python) or "python"
SCORING_GPUS = scoring_gpus()
SCORING_SETTINGS = json.dumps(
    {
        "scoring": section("scoring"),
        "prompt": section("distillation", "prompt", "max_record_tokens"),
        "seed": SEED,
    }
)

FIGURES = [
    "source_similarity",
    "reliability_mask",
    "agreement",
    "learning_curve",
    "score_length",
    "loss_curves",
    "retention",
    *(["separation"] if SPOILED else []),
]
TABLES = [
    "headline",
    "groups",
    "anchors",
    "trust",
    "retention",
    *(["separation"] if SPOILED else []),
]


# One thread per library and process: several processes share the machine's cores.
for variable, value in {
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    **({} if shutil.which("nvidia-smi") else {"DS_ACCELERATOR": "cpu"}),
    **({"HF_HUB_OFFLINE": "1"} if STAND_IN else {}),
}.items():
    os.environ.setdefault(variable, value)
