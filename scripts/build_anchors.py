"""Adapter of rule build_anchors: the group's anchors from points, a run or a scorer."""

import logging

import pandas as pd

from mira.anchoring import build_anchors, check_anchors, point_text
from mira.embedding import Embedder
from mira.io import read_jsonl, write_jsonl
from mira.logs import logged
from mira.scorers.anchors import anchor_rows
from mira.scorers.choice import check_family, uncovered_sources
from mira.scorers.settings import Scorer


def main() -> None:
    settings = snakemake.params.settings
    if snakemake.params.scorer is not None:
        anchors = anchors_of_scorer(Scorer(**snakemake.params.scorer), settings["k"])
    elif settings["reuse"]:
        earlier = snakemake.input.source
        anchors = check_anchors(read_jsonl(earlier), settings["k"], str(earlier))
    else:
        anchors = cluster_points(read_jsonl(snakemake.input.source), settings)
    write_jsonl(anchors, snakemake.output.anchors)


def anchors_of_scorer(scorer: Scorer, k: int) -> list[dict]:
    """The published scorer's rubric, if it fits the group's sources."""
    group, groups = snakemake.wildcards.group, pd.read_csv(snakemake.input.source)
    check_family(group, scorer, groups)
    if others := uncovered_sources(group, scorer, groups):
        logging.warning("%s is not known to cover: %s", scorer.name, ", ".join(others))
    return anchor_rows(scorer, k)


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
