"""Adapter of rule score_shard: one shard of a group's records, resumable by record."""

from pathlib import Path

from mira.groups import records_of_group
from mira.io import read_jsonl, write_parquet
from mira.logs import logged
from mira.scoring.settings import readout_settings

COLUMNS = ["id", "family", "text", "n_tokens"]


def main() -> None:
    import torch

    from mira.scoring.shards import assign_shards, discard_part, score_shard
    from mira.scoring.student import Student

    torch.set_num_threads(snakemake.threads)
    group, shard = snakemake.wildcards.group, int(snakemake.wildcards.shard)
    records = records_of_group(group, snakemake.input.groups, snakemake.input.corpus, COLUMNS)
    chosen = records[assign_shards(records, snakemake.params.scoring["shards"]) == shard]
    settings = readout_settings(
        snakemake.params.scoring, snakemake.params.prompt, snakemake.params.seed
    )
    student = Student(Path(snakemake.input.model), read_jsonl(snakemake.input.anchors), settings)
    part = Path(snakemake.params.resume)
    write_parquet(score_shard(student, chosen, settings.batch_size, part), snakemake.output.scores)
    discard_part(part)


with logged(snakemake.log[0]):
    main()
