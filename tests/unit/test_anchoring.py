from collections import Counter

import numpy as np
import pytest

from mira.anchoring import build_anchors, check_anchors, point_text
from mira.errors import UserError

TOPICS = {"Clarity": 60, "Correctness": 40, "Depth": 25}


def make_points(noise: float = 0.05):
    """Three well separated topics of known sizes; the first point of each is its centre."""
    rng = np.random.default_rng(0)
    points, vectors = [], []
    for axis, (topic, size) in enumerate(TOPICS.items()):
        for i in range(size):
            points.append(
                {
                    "id": f"r{i:03}",
                    "source": "docs" if i % 2 else "code",
                    "dimension": topic if i % 3 else f"{topic} of text",
                    "score": i % 11,
                    "reason": f"{topic} reason {i}",
                }
            )
            vector = noise * rng.normal(size=6)
            vector[axis] += 1
            vectors.append(vector)
    return points, np.array(vectors)


def build(points, vectors, **options):
    settings = {"group": "g1", "seed": 3, "k": 3, "n_references": 2, "stability_resamples": 4}
    return build_anchors(points, vectors, **(settings | options))


def test_slots_are_clusters_by_size():
    anchors = build(*make_points())
    assert [a["slot"] for a in anchors] == ["A1", "A2", "A3"]
    assert [a["cluster_size"] for a in anchors] == [60, 40, 25]
    assert [a["n_records"] for a in anchors] == [60, 40, 25]
    for anchor, topic in zip(anchors, TOPICS, strict=True):
        assert anchor["name"].startswith(topic)


def test_anchor_is_the_point_nearest_its_centroid():
    points, vectors = make_points()
    anchor = build(points, vectors)[1]
    rows = [i for i, p in enumerate(points) if p["reason"].startswith("Correctness")]
    centroid = vectors[rows].mean(axis=0)
    nearest = points[min(rows, key=lambda i: np.linalg.norm(vectors[i] - centroid))]
    assert anchor["name"] == nearest["dimension"]
    assert anchor["definition"] == anchor["medoid_reason"] == nearest["reason"]
    assert (anchor["medoid_id"], anchor["medoid_source"]) == (nearest["id"], nearest["source"])
    names = Counter(points[i]["dimension"] for i in rows)
    assert anchor["names"] == dict(names.most_common())


def test_references_cover_low_middle_high_for_the_largest_slots_only():
    anchors = build(*make_points())
    for anchor in anchors[:2]:
        low, middle, high = (r["score"] for r in anchor["references"])
        assert low <= 3 < middle <= 6 < high
        assert len({r["reason"] for r in anchor["references"]}) == 3
    assert anchors[2]["references"] == []


def test_references_never_repeat_a_reason_nor_invent_a_band():
    points, vectors = make_points()
    for point in points:
        point["score"] = 9 if point["id"] != "r001" else 5
        point["reason"] = "the same words"
    anchors = build(points, vectors)
    assert all(len(a["references"]) == 1 for a in anchors[:2])


def test_stability_tells_clear_clusters_from_noise():
    clear = build(*make_points())
    noisy = build(*make_points(noise=3.0))
    assert all(a["stability"] > 0.95 for a in clear)
    assert np.mean([a["stability"] for a in noisy]) < 0.8


def test_same_seed_same_anchors():
    points, vectors = make_points(noise=0.5)
    assert build(points, vectors) == build(points, vectors)


@pytest.mark.parametrize("repeat", [False, True])
def test_too_few_points_is_explained(repeat):
    points, vectors = make_points()
    points, vectors = points[:2], vectors[:2]
    if repeat:
        points, vectors = points * 10, np.tile(vectors, (10, 1))
    with pytest.raises(UserError) as error:
        build(points, vectors)
    for part in (
        "'g1'",
        "sampling.discovery_per_source",
        f"{len(points)} judgment points",
        "at most 2",
    ):
        assert part in str(error.value)


def test_no_points_at_all_is_explained():
    with pytest.raises(UserError, match="0 judgment points"):
        build([], np.empty((0, 6)))


def test_point_text():
    assert point_text({"dimension": "Clarity", "reason": "short."}) == "Clarity: short."


def test_earlier_anchors_are_taken_over_only_where_they_can_be_asked_with():
    row = {"name": "n", "definition": "d", "references": [], "cluster_size": 3, "stability": 1.0}
    rows = [{"slot": f"A{i}", **row, "names": {}} for i in (1, 2, 3)]
    assert check_anchors(rows, 3, "old/g1.jsonl") == rows
    with pytest.raises(UserError, match=r"old/g1.jsonl.*A1 to A2.*anchoring.k"):
        check_anchors(rows, 2, "old/g1.jsonl")
    with pytest.raises(UserError, match=r"old/g1.jsonl, line 3.*names"):
        check_anchors([*rows[:2], {"slot": "A3", **row}], 3, "old/g1.jsonl")
