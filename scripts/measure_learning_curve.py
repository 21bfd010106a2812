"""Adapter of rule measure_learning_curve: what more labels would bring to a probe."""

from mira.io import read_jsonl, read_parquet, read_parquets, write_csv
from mira.learning_curve.curve import measure_curve
from mira.logs import logged
from mira.validation import score_column


def main() -> None:
    slots = [score_column(anchor["slot"]) for anchor in read_jsonl(snakemake.input.anchors)]
    labels = read_parquet(snakemake.input.labels, ["id", "source", "split", *slots])
    samples = read_parquets(snakemake.input.samples, ["id", "text"])
    texts = dict(zip(samples["id"], samples["text"], strict=True))
    curve = measure_curve(labels, texts, slots, snakemake.params.seed)
    write_csv(curve.assign(picked=snakemake.params.picked), snakemake.output.curve)


with logged(snakemake.log[0]):
    main()
