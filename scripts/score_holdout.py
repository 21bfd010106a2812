"""Adapter of rule score_holdout: the student's scores of held-out labelled records."""

from pathlib import Path

import pandas as pd

from mira.io import read_jsonl, read_parquet, read_parquets, write_parquet
from mira.logs import logged
from mira.scoring.settings import readout_settings
from mira.seeds import stable_hash

COLUMNS = ["id", "family", "text", "n_tokens"]


def draw_compared(records: pd.DataFrame, n: int, seed: int) -> pd.DataFrame:
    """``n`` of the group's held-out records, by a stable hash of the id."""
    chosen = sorted(records["id"], key=lambda i: (stable_hash(seed, "compare", i), i))[:n]
    return records[records["id"].isin(chosen)]


def main() -> None:
    import torch

    from mira.scoring.shards import discard_part, score_shard
    from mira.scoring.student import Student

    torch.set_num_threads(snakemake.threads)
    labels = read_parquet(snakemake.input.labels, ["id", "split"])
    held_out = labels.loc[labels["split"] == "validation", "id"]
    samples = read_parquets(snakemake.input.samples, COLUMNS)
    records = samples[samples["id"].isin(held_out)].sort_values("id", ignore_index=True)
    main_readout = snakemake.params.scoring["readout"]
    n_compared = 0 if main_readout == "sample" else snakemake.params.compare_readouts
    compared = draw_compared(records, n_compared, snakemake.params.seed)
    anchors = read_jsonl(snakemake.input.anchors)
    jobs = [
        (main_readout, records, snakemake.output.scores),
        ("sample", compared, snakemake.output.compared),
    ]
    for readout, chosen, path in jobs:
        settings = readout_settings(
            {**snakemake.params.scoring, "readout": readout},
            snakemake.params.prompt,
            snakemake.params.seed,
        )
        student = Student(Path(snakemake.input.model), anchors, settings)
        part = Path(snakemake.params.resume, f"{Path(path).stem}.jsonl")
        write_parquet(score_shard(student, chosen, settings.batch_size, part), path)
        discard_part(part)


with logged(snakemake.log[0]):
    main()
