"""Adapter of rule label_records: the teacher's scores on a group's anchors."""

import asyncio

from mira.config import Teacher
from mira.groups import records_of_group
from mira.io import read_jsonl, write_json, write_parquet
from mira.labelling import label
from mira.logs import logged
from mira.teacher.journal import Journal
from mira.teacher.running import running_teacher


def main() -> None:
    teacher = Teacher(**snakemake.params.teacher)
    group = snakemake.wildcards.group
    records = records_of_group(group, snakemake.input.groups, snakemake.input.samples)
    with running_teacher(teacher, snakemake.params.seed, snakemake.log[0]) as settings:
        labelled = asyncio.run(
            label(
                records,
                read_jsonl(snakemake.input.anchors),
                settings,
                Journal(snakemake.params.journal),
                group=group,
                prices=teacher.prices,
                max_chars=teacher.max_chars,
            )
        )
    write_parquet(labelled.labels, snakemake.output.labels)
    write_parquet(labelled.rejected, snakemake.output.rejected)
    write_json(labelled.cost, snakemake.output.cost)


with logged(snakemake.log[0]):
    main()
