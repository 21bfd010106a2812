import numpy as np
import pytest

from mira.clustering import cluster_sources
from mira.embedding import BUNDLED, Embedder
from mira.errors import UserError

FAMILIES = {"code": "text", "docs": "text", "chat": "qa", "maths": "qa", "shell": "agent"}


def make_embeddings(directions: dict[str, int], n: int = 20) -> dict[str, np.ndarray]:
    """Unit vectors around one axis per source."""
    rng = np.random.default_rng(0)
    result = {}
    for source, axis in directions.items():
        vectors = 0.1 * rng.normal(size=(n, 8))
        vectors[:, axis] += 1
        result[source] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return result


EMBEDDINGS = make_embeddings({"code": 0, "docs": 1, "chat": 1, "maths": 2, "shell": 0})


def test_similar_sources_share_a_group_named_in_order_of_first_source():
    groups, _ = cluster_sources(EMBEDDINGS, FAMILIES, 3, "all", seed=1)
    assert groups.set_index("source")["group"].to_dict() == {
        "chat": "g1",
        "docs": "g1",
        "code": "g2",
        "shell": "g2",
        "maths": "g3",
    }
    assert (groups["n_sampled"] == 20).all()
    alone = groups.set_index("source").loc["maths", "similarity"]
    assert alone == pytest.approx(1.0)
    assert groups["similarity"].between(0.9, 1.0001).all()


def test_result_does_not_depend_on_the_order_of_sources():
    backwards = dict(reversed(EMBEDDINGS.items()))
    one, _ = cluster_sources(EMBEDDINGS, FAMILIES, 3, "all", seed=1)
    two, _ = cluster_sources(backwards, FAMILIES, 3, "all", seed=1)
    assert one.equals(two)


def test_groups_within_families_never_mix_them():
    k = {"text": 2, "qa": 1, "agent": 1}
    groups, _ = cluster_sources(EMBEDDINGS, FAMILIES, k, "family", seed=1)
    assert sorted(groups["group"].unique()) == ["agent-1", "qa-1", "text-1", "text-2"]
    assert all(
        g.startswith(f"{f}-") for g, f in zip(groups["group"], groups["family"], strict=True)
    )


def test_every_group_is_filled_even_where_sources_are_identical():
    same = dict.fromkeys("abcd", EMBEDDINGS["code"])
    groups, _ = cluster_sources(same, dict.fromkeys(same, "text"), 3, "all", seed=1)
    assert set(groups["group"]) == {"g1", "g2", "g3"}


def test_similarity_lists_all_ordered_pairs():
    _, similarity = cluster_sources(EMBEDDINGS, FAMILIES, 2, "all", seed=1)
    table = similarity.pivot(index="source_a", columns="source_b", values="similarity")
    assert table.shape == (5, 5)
    assert np.allclose(table, table.T)
    assert np.allclose(np.diag(table), 1)
    assert table.loc["docs", "chat"] > 0.9 > table.loc["docs", "maths"]


@pytest.mark.parametrize(
    ("k", "within", "expected"),
    [
        (6, "all", "clustering.k asks for 6 group(s), but there are 5 source(s)"),
        (2, "family", "2 group(s) of family 'agent', but there are 1 source(s)"),
        ({"text": 1, "qa": 1}, "family", "no entry for family 'agent'"),
        ({"text": 1}, "all", "must be one number"),
    ],
)
def test_impossible_k_is_explained(k, within, expected):
    with pytest.raises(UserError) as error:
        cluster_sources(EMBEDDINGS, FAMILIES, k, within, seed=1)
    assert expected in str(error.value)
    assert "clustering.k" in str(error.value)


def test_source_without_records_is_named():
    with pytest.raises(UserError, match="source\\(s\\) code"):
        cluster_sources(EMBEDDINGS | {"code": np.empty((0, 8))}, FAMILIES, 2, "all", seed=1)


def test_unknown_embedding_model_is_a_user_error(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"clustering\.embedding_model"):
        Embedder(str(tmp_path))


def test_bundled_model_embeds_meaning_and_ignores_order():
    embedder = Embedder(BUNDLED, threads=1)
    texts = [
        "def add(a, b):\n    return a + b",
        "The cat sat on the mat.",
        "A kitten was sitting on a rug.",
        "The cat sat on the mat.",
    ]
    vectors = embedder.encode(texts)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    cosine = vectors @ vectors.T
    assert cosine[1, 2] > cosine[1, 0] + 0.2
    assert (vectors[1] == vectors[3]).all()
    assert (embedder.encode(texts[::-1])[::-1] == vectors).all()
