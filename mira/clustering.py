"""Sources to groups by the similarity of their content (paper 3.2, "Source Clustering").

Each source is the mean embedding of its sampled records; KMeans runs on those means. The number
of groups is configuration, so group names are known before clustering.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd

from mira.embedding import unit_rows
from mira.errors import UserError
from mira.seeds import derive_seed

STAGE_VERSION = 1


def cluster_sources(
    embeddings: Mapping[str, np.ndarray],
    families: Mapping[str, str],
    k: int | Mapping[str, int],
    within: Literal["all", "family"],
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Group the sources; returns (groups, similarity).

    ``embeddings[source]`` is an (n, d) array of sampled records' vectors; ``families[source]``
    its family. ``within="all"`` makes groups ``g1..gk``; ``within="family"`` makes
    ``{family}-1..`` with ``k`` groups in each family, or ``k[family]``. Groups are numbered by
    their first source's name, and none is empty.

    groups: source, family, group, similarity (cosine of the source's mean to the mean of its
    group's sources), n_sampled. similarity: source_a, source_b, similarity (cosine), all ordered
    pairs. Raises UserError where a scope has fewer sources than groups. The paper publishes 5
    groups of 21 sources; normalising the means, so that distance is cosine, is ours.
    """
    sources = sorted(embeddings)
    means = _source_means(embeddings, sources)
    group_of: dict[str, str] = {}
    for prefix, members, n_groups in _scopes(sources, families, k, within):
        rows = [sources.index(source) for source in members]
        labels = _kmeans_labels(means[rows], n_groups, derive_seed(seed, "clustering", prefix))
        group_of |= _name_groups(members, labels, prefix)
    groups = pd.DataFrame(
        {
            "source": sources,
            "family": [families[source] for source in sources],
            "group": [group_of[source] for source in sources],
            "similarity": _similarity_to_group(means, [group_of[source] for source in sources]),
            "n_sampled": [len(embeddings[source]) for source in sources],
        }
    )
    return groups, _pairwise_similarity(means, sources)


def _source_means(embeddings: Mapping[str, np.ndarray], sources: list[str]) -> np.ndarray:
    if empty := [source for source in sources if len(embeddings[source]) == 0]:
        raise UserError(
            f"clustering: source(s) {', '.join(empty)} have no usable record to embed. Look into "
            "sampling/rejected.parquet for the reasons, or remove them from 'sources'."
        )
    return unit_rows(np.stack([embeddings[source].mean(axis=0) for source in sources]))


def _scopes(
    sources: list[str],
    families: Mapping[str, str],
    k: int | Mapping[str, int],
    within: Literal["all", "family"],
) -> list[tuple[str, list[str], int]]:
    """(prefix of the group names, member sources, number of groups) of each clustering."""
    if within == "all":
        if not isinstance(k, int):
            raise UserError("clustering.k must be one number when clustering.within is 'all'.")
        scopes = [("g", sources, k)]
    else:
        scopes = []
        for family in sorted({families[source] for source in sources}):
            if not isinstance(k, int) and family not in k:
                raise UserError(f"clustering.k has no entry for family '{family}': add one.")
            members = [source for source in sources if families[source] == family]
            scopes.append((f"{family}-", members, k if isinstance(k, int) else k[family]))
    for prefix, members, n_groups in scopes:
        if n_groups < 1 or n_groups > len(members):
            where = "" if within == "all" else f" of family '{prefix.rstrip('-')}'"
            raise UserError(
                f"clustering.k asks for {n_groups} group(s){where}, but there are {len(members)} "
                f"source(s){where}: set clustering.k between 1 and {len(members)}, or add sources."
            )
    return scopes


def _kmeans_labels(means: np.ndarray, n_groups: int, seed: int) -> np.ndarray:
    import warnings

    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # Equal means give fewer distinct clusters than asked for; _fill_empty settles that.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = KMeans(n_clusters=n_groups, n_init=10, random_state=seed).fit(means)
    return _fill_empty(model.labels_, means, n_groups)


def _fill_empty(labels: np.ndarray, means: np.ndarray, n_groups: int) -> np.ndarray:
    """Give every empty group the source farthest from the mean of the largest group."""
    labels = labels.copy()
    for group in range(n_groups):
        if np.any(labels == group):
            continue
        largest = np.argmax(np.bincount(labels, minlength=n_groups))
        members = np.flatnonzero(labels == largest)
        distance = np.linalg.norm(means[members] - means[members].mean(axis=0), axis=1)
        labels[members[np.argmax(distance)]] = group
    return labels


def _name_groups(members: list[str], labels: np.ndarray, prefix: str) -> dict[str, str]:
    number: dict[int, int] = {}
    for label in labels:
        number.setdefault(int(label), len(number) + 1)
    return {
        source: f"{prefix}{number[int(label)]}"
        for source, label in zip(members, labels, strict=True)
    }


def _similarity_to_group(means: np.ndarray, groups: list[str]) -> np.ndarray:
    similarity = np.empty(len(groups))
    for group in set(groups):
        rows = [row for row, name in enumerate(groups) if name == group]
        similarity[rows] = means[rows] @ unit_rows(means[rows].mean(axis=0))
    return similarity


def _pairwise_similarity(means: np.ndarray, sources: list[str]) -> pd.DataFrame:
    cosine = means @ means.T
    n = len(sources)
    return pd.DataFrame(
        {
            "source_a": np.repeat(sources, n),
            "source_b": np.tile(sources, n),
            "similarity": cosine.ravel(),
        }
    )
