"""Adapter of rule label_records: the teacher's scores on a group's anchors."""

from mira.config import Labelling, parse_config
from mira.groups import records_of_group
from mira.io import read_jsonl, write_json, write_parquet
from mira.labelling import label
from mira.logs import logged
from mira.teacher.running import open_journal, run_asking, running_teacher


def main() -> None:
    # From the whole config, not from params: limits and prices of calls are no reason to rerun.
    teacher = parse_config(snakemake.config).teacher
    run = snakemake.wildcards.run
    group = snakemake.wildcards.group
    records = records_of_group(group, snakemake.input.groups, snakemake.input.samples)
    with running_teacher(teacher, run, snakemake.params.seed, snakemake.log[0]) as settings:
        labelled = run_asking(
            label(
                records,
                read_jsonl(snakemake.input.anchors),
                settings,
                open_journal(teacher, run),
                group=group,
                max_chars=teacher.max_chars,
                plan=Labelling(**snakemake.params.settings),
                seed=snakemake.params.seed,
            )
        )
    write_parquet(labelled.labels, snakemake.output.labels)
    write_parquet(labelled.rejected, snakemake.output.rejected)
    write_json(labelled.cost, snakemake.output.cost)


with logged(snakemake.log[0]):
    main()
