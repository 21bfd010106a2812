"""Adapter of rule evaluate_group: agreement per cell, beside a ridge reference."""

import numpy as np
import pandas as pd

from mira.io import read_jsonl, read_parquet, read_parquets, write_csv
from mira.logs import logged
from mira.ridge import predict_ridge
from mira.validation import (
    MaskPolicy,
    evaluate_cells,
    evaluate_readouts,
    predictions_from_scores,
)


def ridge_predictions(labels: pd.DataFrame, samples: pd.DataFrame, n_slots: int) -> pd.DataFrame:
    columns = [f"s{i}" for i in range(1, n_slots + 1)]
    texts = samples.set_index("id")["text"]
    train = labels[labels["split"] == "train"]
    held_out = labels[labels["split"] == "validation"]
    predicted = predict_ridge(
        texts.loc[train["id"]].tolist(),
        train[columns].to_numpy(),
        texts.loc[held_out["id"]].tolist(),
    )
    frame = pd.DataFrame(np.clip(predicted, 0, 10), columns=columns)
    return frame.assign(id=held_out["id"].to_numpy())


def main() -> None:
    group = snakemake.wildcards.group
    labels = read_parquet(snakemake.input.labels)
    anchors = read_jsonl(snakemake.input.anchors)
    samples = read_parquets(snakemake.input.samples, ["id", "source", "text"])
    scores = read_parquet(snakemake.input.scores)
    policy = MaskPolicy(**snakemake.params.settings)
    student = predictions_from_scores(scores)
    medians = predictions_from_scores(scores, "median")
    cells = evaluate_cells(labels, student, anchors, policy, group=group, reported=medians)
    reference = ridge_predictions(labels, samples, len(anchors))
    ridge = evaluate_cells(labels, reference, anchors, policy, group=group)
    readouts = {scores["readout"].iloc[0]: student}
    compared = read_parquet(snakemake.input.compared)
    if len(compared):
        readouts[compared["readout"].iloc[0]] = predictions_from_scores(compared)
    write_csv(cells, snakemake.output.cells)
    write_csv(ridge, snakemake.output.ridge)
    write_csv(evaluate_readouts(labels, readouts, anchors, group=group), snakemake.output.readouts)


with logged(snakemake.log[0]):
    main()
