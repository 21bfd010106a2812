"""Adapter of rule forecast_discovery: what both stages will cost, before either is paid for."""

from pathlib import Path

import pandas as pd

from mira.config import parse_config
from mira.forecast.counting import PromptSizer
from mira.forecast.make import Samples, forecast_before_anchors
from mira.forecast.stage import Means
from mira.groups import group_by_source
from mira.io import read_jsonl, write_json
from mira.logs import logged
from mira.teacher.running import open_journal, run_asking, running_teacher


def main() -> None:
    # From the whole config: params have what decides a forecast, not how calls are kept and capped.
    config = parse_config(snakemake.config)
    teacher = config.teacher
    run = snakemake.wildcards.run
    samples = Samples(
        groups=group_by_source(pd.read_csv(snakemake.input.groups)),
        discovery={Path(path).stem: Path(path) for path in snakemake.input.discovery},
        labelling={Path(path).stem: Path(path) for path in snakemake.input.labelling},
    )
    anchors = {Path(path).stem: read_jsonl(path) for path in snakemake.input.anchors}
    with running_teacher(teacher, run, snakemake.params.seed, snakemake.log[0]) as settings:
        means = Means(
            settings=settings,
            journal=open_journal(teacher, run),
            sizer=PromptSizer.of(teacher.tokenizer),
            seed=snakemake.params.seed,
        )
        forecast = run_asking(forecast_before_anchors(samples, config, means, anchors or None))
    write_json(forecast, snakemake.output.forecast)


with logged(snakemake.log[0]):
    main()
