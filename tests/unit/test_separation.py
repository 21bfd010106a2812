import numpy as np
import pandas as pd
import pytest

from mira.separation import distance_to_cut, evaluate_separation

COLUMNS = {
    *("method", "source", "family", "n_intact", "n_spoiled", "auroc", "auroc_low", "auroc_high"),
    *("precision", "precision_low", "precision_high", "base_rate"),
}


def make_case(n: int = 300):
    """Two sources at different levels; scores drop by 2 where spoiled; the better half kept."""
    rng = np.random.default_rng(0)
    spoiled = pd.DataFrame(
        {
            "id": [f"r{i}" for i in range(n)],
            "source": np.where(np.arange(n) % 3 == 0, "code", "chat"),
            "family": np.where(np.arange(n) % 3 == 0, "text", "qa"),
            "spoiled": rng.random(n) < 0.3,
            "kind": None,
        }
    )
    good = rng.normal(0, 1, n) - 2 * spoiled["spoiled"] + 5 * (spoiled["source"] == "code")
    scores = {"mira": good, "random": pd.Series(rng.random(n)), "raw": pd.Series(np.nan, range(n))}
    selections = {
        method: pd.DataFrame(
            {
                "id": spoiled["id"],
                "score": score,
                "selected": (score > score.median()) if method != "raw" else True,
            }
        ).sample(frac=1, random_state=1)
        for method, score in scores.items()
    }
    return selections, spoiled


@pytest.fixture(scope="module")
def table():
    return evaluate_separation(*make_case()).set_index(["method", "source"])


def test_rows_and_columns(table):
    assert COLUMNS.issubset(table.reset_index().columns)
    assert table.loc["mira"].index.tolist() == ["ALL", "MEAN", "chat", "code"]
    assert table.loc[("mira", "code"), "family"] == "text"
    counts = table.loc["mira"][["n_intact", "n_spoiled"]]
    assert counts.loc["ALL"].tolist() == (counts.loc["chat"] + counts.loc["code"]).tolist()


def test_within_source_pairs_are_not_blurred_by_source_levels(table):
    mira = table.loc["mira"]["auroc"]
    assert mira["MEAN"] > 0.88
    assert mira["ALL"] < mira["MEAN"] - 0.1
    assert min(mira["chat"], mira["code"]) <= mira["MEAN"] <= max(mira["chat"], mira["code"])


def test_random_is_near_a_half_and_raw_has_no_auroc(table):
    random = table.loc[("random", "ALL")]
    assert random["auroc_low"] < 0.5 < random["auroc_high"]
    raw = table.loc["raw"]
    assert raw[["auroc", "auroc_low", "auroc_high"]].isna().all(axis=None)
    assert raw["precision"].tolist() == pytest.approx(raw["base_rate"].tolist())


def test_precision_is_the_intact_share_of_what_was_kept(table):
    selections, spoiled = make_case()
    kept = set(selections["mira"].query("selected")["id"])
    expected = 1 - spoiled[spoiled["id"].isin(kept)]["spoiled"].mean()
    mira = table.loc[("mira", "ALL")]
    assert mira["precision"] == pytest.approx(expected)
    assert mira["precision_low"] < expected < mira["precision_high"]
    assert mira["precision"] > mira["base_rate"]


def test_records_without_a_score_are_left_out_of_the_auroc_only():
    selections, spoiled = make_case()
    mira = selections["mira"].copy()
    mira.loc[mira.index[:50], ["score", "selected"]] = [np.nan, False]
    row = evaluate_separation({"mira": mira}, spoiled).iloc[0]
    assert row["n_scored"] == 250
    assert row["n_intact"] + row["n_spoiled"] == 300


def test_a_selection_that_lacks_records_is_refused():
    selections, spoiled = make_case()
    with pytest.raises(ValueError, match="'mira' lacks 10 of 300"):
        evaluate_separation({"mira": selections["mira"].iloc[10:]}, spoiled)


def test_distance_to_cut_makes_buckets_comparable():
    selection = pd.DataFrame(
        {
            "id": ["a", "b", "c", "d", "e"],
            "source": ["s", "s", "t", "t", "u"],
            "score": [9.0, 8.0, 3.0, 2.0, 7.0],
        }
    )
    buckets = [
        {"bucket": "s", "cut_score": 9.0},
        {"bucket": "t", "cut_score": 3.0},
        {"bucket": "u", "cut_score": None},
    ]
    by_source = distance_to_cut(selection, {"per": "source", "buckets": buckets})
    assert by_source.tolist() == [0.0, -1.0, 0.0, -1.0, 0.0]
    one_cut = distance_to_cut(selection, {"per": "corpus", "buckets": buckets[:1]})
    assert one_cut.tolist() == selection["score"].tolist()
