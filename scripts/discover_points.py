"""Adapter of rule discover_points: free-form judgments of a group's sampled records."""

import pandas as pd

from mira.config import parse_config
from mira.discovery import discover
from mira.groups import records_of_group
from mira.io import write_json, write_jsonl, write_parquet
from mira.logs import logged
from mira.teacher.running import open_journal, run_asking, running_teacher


def main() -> None:
    # From the whole config, not from params: limits and prices of calls are no reason to rerun.
    teacher = parse_config(snakemake.config).teacher
    run = snakemake.wildcards.run
    records = records_of_group(
        snakemake.wildcards.group, snakemake.input.groups, snakemake.input.samples
    )
    with running_teacher(teacher, run, snakemake.params.seed, snakemake.log[0]) as settings:
        found = run_asking(
            discover(
                records,
                settings,
                open_journal(teacher, run),
                n_dimensions=snakemake.params.settings["dimensions_per_record"],
                max_chars=teacher.max_chars,
            )
        )
    write_jsonl(found.points, snakemake.output.points)
    rejected = pd.DataFrame(found.rejected, columns=["id", "source", "reason", "detail"])
    write_parquet(rejected.astype("str"), snakemake.output.rejected)
    write_json(found.counts, snakemake.output.cost)


with logged(snakemake.log[0]):
    main()
