"""Adapter of rule discover_points: free-form judgments of a group's sampled records."""

import asyncio

import pandas as pd

from mira.config import Teacher
from mira.discovery import discover
from mira.groups import records_of_group
from mira.io import write_json, write_jsonl, write_parquet
from mira.logs import logged
from mira.teacher.journal import Journal
from mira.teacher.running import running_teacher


def main() -> None:
    teacher = Teacher(**snakemake.params.teacher)
    records = records_of_group(
        snakemake.wildcards.group, snakemake.input.groups, snakemake.input.samples
    )
    with running_teacher(teacher, snakemake.params.seed, snakemake.log[0]) as settings:
        found = asyncio.run(
            discover(
                records,
                settings,
                Journal(snakemake.params.journal),
                prices=teacher.prices,
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
