"""Adapter of rule build_anchors: a group's judgment points to its anchors."""

from mira.anchoring import build_anchors, point_text
from mira.embedding import Embedder
from mira.io import read_jsonl, write_jsonl
from mira.logs import logged


def main() -> None:
    points = read_jsonl(snakemake.input.points)
    embedding, settings = snakemake.params.embedding, snakemake.params.settings
    embedder = Embedder(embedding["embedding_model"], embedding["dtype"], threads=snakemake.threads)
    anchors = build_anchors(
        points,
        embedder.encode([point_text(point) for point in points]),
        group=snakemake.wildcards.group,
        seed=snakemake.params.seed,
        k=settings["k"],
        n_references=settings["references"],
        stability_resamples=settings["stability_resamples"],
    )
    write_jsonl(anchors, snakemake.output.anchors)


with logged(snakemake.log[0]):
    main()
