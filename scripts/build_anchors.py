"""Adapter of rule build_anchors: judgment points, or earlier anchors, to the group's anchors."""

from mira.anchoring import build_anchors, check_anchors, point_text
from mira.embedding import Embedder
from mira.io import read_jsonl, write_jsonl
from mira.logs import logged


def main() -> None:
    settings = snakemake.params.settings
    if settings["reuse"]:
        earlier = snakemake.input.source
        anchors = check_anchors(read_jsonl(earlier), settings["k"], str(earlier))
    else:
        anchors = cluster_points(read_jsonl(snakemake.input.source), settings)
    write_jsonl(anchors, snakemake.output.anchors)


def cluster_points(points: list[dict], settings: dict) -> list[dict]:
    """The anchors nearest the centroids of the group's judgment points."""
    embedding = snakemake.params.embedding
    embedder = Embedder(embedding["embedding_model"], embedding["dtype"], threads=snakemake.threads)
    return build_anchors(
        points,
        embedder.encode([point_text(point) for point in points]),
        group=snakemake.wildcards.group,
        seed=snakemake.params.seed,
        k=settings["k"],
        n_references=settings["references"],
        stability_resamples=settings["stability_resamples"],
    )


with logged(snakemake.log[0]):
    main()
