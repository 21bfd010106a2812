"""Judgment points to anchors (paper 3.2, "Judgment clustering and anchor extraction").

A group's judgment points are clustered; the point nearest each centroid becomes an anchor, and
its dimension name, verbatim, names the slot. Names can therefore recur: slots are keyed by
their id, A1, A2, ...
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mira.errors import UserError
from mira.seeds import derive_rng, derive_seed

STAGE_VERSION = 1
SCORE_BANDS = ((0.0, 3.5), (3.5, 6.5), (6.5, 10.5))
_RESAMPLED_SHARE = 0.8
_TOP_NAMES = 5
_NEEDED = ("name", "definition", "references", "cluster_size", "stability", "names")

Point = Mapping[str, Any]


def point_text(point: Point) -> str:
    """What is embedded of a judgment point: ``dimension: reason``."""
    return f"{point['dimension']}: {point['reason']}"


def build_anchors(
    points: Sequence[Point],
    embeddings: np.ndarray,
    *,
    group: str,
    seed: int,
    k: int = 15,
    n_references: int = 12,
    stability_resamples: int = 20,
) -> list[dict[str, Any]]:
    """The anchors of one group, largest cluster first: rows of ``anchoring/{group}.jsonl``.

    ``points`` are rows with id, source, dimension, score and reason; ``embeddings`` their
    (n, d) vectors. The definition of a slot is its medoid's reason. The ``n_references``
    largest clusters carry calibration references: for low, middle and high scores the point of
    that band nearest the centroid, as far as the cluster has one. ``stability`` is the mean
    Jaccard overlap of the cluster with its best match when 80 % of the records are clustered
    again (0 to 1; under 0.6 is doubtful).

    Raises UserError where the group has fewer (distinct) points than ``k``. Model cards: k 15,
    12 references, order by cluster size; the bands and the stability are ours.
    """
    _check_enough(points, embeddings, k, group)
    labels, centroids = _kmeans(embeddings, k, derive_seed(seed, "anchoring", group), n_init=10)
    distance = np.linalg.norm(embeddings - centroids[labels], axis=1)
    stability = _stability(
        embeddings,
        np.asarray([str(point["id"]) for point in points]),
        labels,
        stability_resamples,
        derive_rng(seed, "anchoring", group, "stability"),
    )
    rows = []
    for cluster in range(k):
        members = _by_distance(np.flatnonzero(labels == cluster), distance, points)
        row = _anchor([points[i] for i in members])
        rows.append(row | {"stability": round(float(stability[cluster]), 4)})
    rows.sort(key=lambda row: (-row["cluster_size"], row["medoid_id"], row["name"]))
    for number, row in enumerate(rows, start=1):
        row["slot"] = f"A{number}"
        if number > n_references:
            row["references"] = []
    return rows


def check_anchors(rows: Sequence[Mapping[str, Any]], k: int, where: str) -> list[dict[str, Any]]:
    """Anchors of an earlier run, if they can be asked with here.

    Raises UserError where the slots are not A1 to A``k``, in order, or a row lacks what a prompt
    needs (ours).
    """
    expected = [f"A{number}" for number in range(1, k + 1)]
    slots = [row.get("slot") for row in rows]
    if slots != expected:
        raise UserError(
            f"{where}: expected the slots A1 to A{k} (anchoring.k), found {slots}. Name the "
            f"anchoring folder of a finished run in anchoring.reuse, or set anchoring.k to its k."
        )
    for line, row in enumerate(rows, start=1):
        if missing := [name for name in _NEEDED if name not in row]:
            raise UserError(
                f"{where}, line {line}: the anchor lacks {', '.join(missing)}; expected a row of "
                f"anchoring/{{group}}.jsonl as a run writes it."
            )
    return [dict(row) for row in rows]


def _check_enough(points: Sequence[Point], embeddings: np.ndarray, k: int, group: str) -> None:
    distinct = len(np.unique(embeddings, axis=0)) if len(embeddings) else 0
    if distinct < k:
        raise UserError(
            f"anchoring: group '{group}' has {len(points)} judgment points, {distinct} of them "
            f"distinct, but anchoring.k asks for {k} anchors. Raise sampling.discovery_per_source "
            f"so that the teacher judges more records, or lower anchoring.k to at most {distinct}."
        )


def _kmeans(vectors: np.ndarray, k: int, seed: int, n_init: int) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.cluster import KMeans

    model = KMeans(n_clusters=k, n_init=n_init, random_state=seed).fit(vectors)
    return model.labels_, model.cluster_centers_


def _by_distance(members: np.ndarray, distance: np.ndarray, points: Sequence[Point]) -> list[int]:
    """Members of a cluster, nearest its centroid first; ties by record and dimension."""
    return sorted(
        (int(i) for i in members),
        key=lambda i: (float(distance[i]), str(points[i]["id"]), points[i]["dimension"]),
    )


def _anchor(members: list[Point]) -> dict[str, Any]:
    """The row of one cluster from its points, nearest the centroid first."""
    medoid = members[0]
    names = Counter(point["dimension"] for point in members)
    top = sorted(names.items(), key=lambda item: (-item[1], item[0]))[:_TOP_NAMES]
    return {
        "name": medoid["dimension"],
        "definition": medoid["reason"],
        "cluster_size": len(members),
        "n_records": len({point["id"] for point in members}),
        "medoid_id": medoid["id"],
        "medoid_source": medoid["source"],
        "medoid_score": medoid["score"],
        "medoid_reason": medoid["reason"],
        "references": _references(members),
        "names": dict(top),
    }


def _references(members: list[Point]) -> list[dict[str, Any]]:
    """The most central point of each score band, low to high, no reason given twice."""
    references: list[dict[str, Any]] = []
    for low, high in SCORE_BANDS:
        used = {reference["reason"] for reference in references}
        for point in members:
            if low <= point["score"] < high and point["reason"] not in used:
                references.append({"score": point["score"], "reason": point["reason"]})
                break
    return references


def _stability(
    vectors: np.ndarray,
    ids: np.ndarray,
    labels: np.ndarray,
    resamples: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Mean best-match Jaccard of each cluster over resamples of the records, shape (k,).

    Records are drawn, not points: the points of one record come and go together, as they would
    in another sample of the corpus.
    """
    k = int(labels.max()) + 1
    records = np.unique(ids)
    size = max(1, round(_RESAMPLED_SHARE * len(records)))
    overlaps = np.full((resamples, k), np.nan)
    for resample in range(resamples):
        drawn = np.isin(ids, rng.choice(records, size=size, replace=False))
        subset, original = vectors[drawn], labels[drawn]
        clusters = min(k, len(np.unique(subset, axis=0)))
        again, _ = _kmeans(subset, clusters, int(rng.integers(2**32)), n_init=1)
        overlaps[resample] = _best_jaccard(original, again, k, clusters)
    present = ~np.isnan(overlaps)
    total = np.where(present, overlaps, 0).sum(axis=0)
    return total / np.maximum(present.sum(axis=0), 1)


def _best_jaccard(original: np.ndarray, again: np.ndarray, k: int, clusters: int) -> np.ndarray:
    """For each original cluster its largest Jaccard overlap; NaN where it was not drawn."""
    shared = np.zeros((k, clusters))
    np.add.at(shared, (original, again), 1)
    size = shared.sum(axis=1)
    union = size[:, None] + shared.sum(axis=0)[None, :] - shared
    return np.where(size > 0, (shared / np.maximum(union, 1)).max(axis=1), np.nan)
