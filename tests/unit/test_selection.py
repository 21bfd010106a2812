import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mira.baselines import random_scores, select_random, select_raw
from mira.errors import UserError
from mira.methods import select_by_method
from mira.selection import divide_budget, ids_checksum, select, selection_table, tie_key

SEED = 7


def make_frame(n: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    source = rng.choice(["a", "b", "c"], n)
    return pd.DataFrame(
        {
            "id": [f"r{i}" for i in range(n)],
            "source": source,
            "group": np.where(source == "c", "g2", "g1"),
            "n_tokens": rng.integers(1, 50, n),
            "score": np.where(rng.random(n) < 0.1, np.nan, rng.integers(0, 12, n) / 4),
        }
    )


RECORDS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.integers(0, 20),
        st.one_of(st.none(), st.integers(0, 3).map(float)),
    ),
    min_size=1,
    max_size=25,
)


def frame_of(records) -> pd.DataFrame:
    frame = pd.DataFrame(records, columns=["source", "n_tokens", "score"]).astype({"score": float})
    return frame.assign(id=[f"r{i}" for i in range(len(frame))], group=frame["source"])


def oracle(frame: pd.DataFrame, budget: int) -> set[str]:
    """Take by (score desc, tie key, id) until the first record that does not fit."""
    rows = [r for r in frame.to_dict("records") if r["score"] == r["score"]]
    rows.sort(key=lambda r: (-r["score"], tie_key(SEED, r["id"]), r["id"]))
    taken, used = set(), 0
    for row in rows:
        if used + row["n_tokens"] > budget:
            break
        used += row["n_tokens"]
        taken.add(row["id"])
    return taken


def chosen(frame: pd.DataFrame, mask: np.ndarray) -> set[str]:
    return set(frame["id"][mask])


@given(RECORDS, st.integers(1, 400))
def test_one_cut_equals_the_oracle_and_never_exceeds_the_budget(records, budget):
    frame = frame_of(records)
    assume(budget <= frame["n_tokens"].sum())
    mask, certificate = select(frame, budget, None, SEED)
    assert chosen(frame, mask) == oracle(frame, budget)
    assert frame["n_tokens"][mask].sum() == certificate["selected_tokens"] <= budget


@given(RECORDS, st.integers(1, 400))
def test_buckets_equal_the_oracle_bucket_by_bucket(records, budget):
    frame = frame_of(records)
    assume(budget <= frame["n_tokens"].sum())
    mask, certificate = select(frame, budget, "source", SEED)
    expected = set()
    for bucket in certificate["buckets"]:
        expected |= oracle(frame[frame["source"] == bucket["bucket"]], bucket["budget_tokens"])
    assert chosen(frame, mask) == expected
    assert sum(b["budget_tokens"] for b in certificate["buckets"]) == budget


@given(RECORDS, st.integers(1, 400))
def test_the_certificate_alone_reproduces_the_selection(records, budget):
    frame = frame_of(records)
    assume(budget <= frame["n_tokens"].sum())
    mask, certificate = select(frame, budget, "source", SEED)
    buckets = {b["bucket"]: b for b in certificate["buckets"]}
    rebuilt = set()
    for row in frame.to_dict("records"):
        cut = buckets[row["source"]]
        if cut["cut_score"] is None:
            continue
        key_fits = cut["tie_key"] is None or tie_key(SEED, row["id"]) <= int(cut["tie_key"], 16)
        if row["score"] > cut["cut_score"] or (row["score"] == cut["cut_score"] and key_fits):
            rebuilt.add(row["id"])
    assert rebuilt == chosen(frame, mask)
    assert certificate["checksum"] == ids_checksum(frame["id"][mask])


@pytest.mark.parametrize("per", [None, "group", "source"])
def test_row_order_changes_nothing(per):
    frame = make_frame(500)
    budget = int(frame["n_tokens"].sum()) // 2
    mask, certificate = select(frame, budget, per, SEED)
    shuffled = frame.sample(frac=1, random_state=3).reset_index(drop=True)
    other_mask, other = select(shuffled, budget, per, SEED)
    assert other == certificate
    assert selection_table(shuffled, other_mask).equals(selection_table(frame, mask))


def test_ties_are_decided_by_the_seed_and_counted():
    frame = make_frame(200).assign(score=5.0, n_tokens=10)
    one, certificate = select(frame, 1000, None, 1)
    two, _ = select(frame, 1000, None, 2)
    assert one.sum() == two.sum() == 100
    assert (one != two).any()
    assert certificate["tie_share"] == 1.0
    assert certificate["buckets"][0]["cut_score"] == 5.0
    assert certificate["buckets"][0]["tie_key"] is not None


def test_a_cut_between_scores_leaves_nothing_to_ties():
    frame = make_frame(10).assign(score=np.arange(10.0), n_tokens=10)
    mask, certificate = select(frame, 50, None, SEED)
    assert list(frame["score"][mask]) == [5, 6, 7, 8, 9]
    assert certificate["tie_share"] == 0
    assert certificate["buckets"][0]["tie_key"] is None


def test_it_stops_at_the_first_record_that_does_not_fit():
    frame = make_frame(3).assign(score=[3.0, 2.0, 1.0], n_tokens=[10, 100, 5])
    mask, _ = select(frame, 50, None, SEED)
    assert list(mask) == [True, False, False]


def test_unscored_records_are_never_selected_and_are_counted():
    frame = make_frame(4).assign(score=[np.nan, 1.0, 2.0, np.nan], n_tokens=10)
    mask, certificate = select(frame, 40, None, SEED)
    assert list(mask) == [False, True, True, False]
    assert (certificate["unscored_records"], certificate["unscored_tokens"]) == (2, 20)


def test_budget_larger_than_the_corpus_is_explained():
    frame = make_frame(3).assign(n_tokens=1000)
    with pytest.raises(UserError) as error:
        select(frame, 3001, None, SEED)
    for part in ("selection.budget", "3,001", "3,000"):
        assert part in str(error.value)
    with pytest.raises(UserError):
        select(frame, 0, None, SEED)


def test_repeated_ids_are_refused():
    frame = make_frame(3).assign(id=["x", "y", "x"])
    with pytest.raises(ValueError, match="'x'"):
        select(frame, 1, None, SEED)


@given(
    st.dictionaries(st.text("abcdef", min_size=1), st.integers(0, 10**12), min_size=1), st.data()
)
def test_divided_budget_is_exact_and_fits_every_bucket(tokens, data):
    assume(sum(tokens.values()) > 0)
    budget = data.draw(st.integers(1, sum(tokens.values())))
    shares = divide_budget(budget, tokens)
    assert sum(shares.values()) == budget
    for name, share in shares.items():
        exact = budget * tokens[name] / sum(tokens.values())
        assert share <= tokens[name]
        assert abs(share - exact) <= 1 + 1e-9 * exact


def test_selection_table_carries_reasons():
    frame = make_frame(3).assign(id=["c", "a", "b"], source="x", score=[1.0, np.nan, 2.0])
    table = selection_table(frame, np.array([True, False, True]), np.array([None, "why", None]))
    assert list(table["id"]) == ["a", "b", "c"]
    assert table["reason"].fillna("").tolist() == ["why", "", ""]
    assert list(table.columns) == [
        "id",
        "source",
        "group",
        "n_tokens",
        "score",
        "selected",
        "reason",
    ]


def test_random_is_uniform_seeded_and_stable_under_new_records():
    ids = [f"r{i}" for i in range(4000)]
    scores = random_scores(ids, 1)
    assert abs(scores.mean() - 0.5) < 0.02
    assert scores.min() >= 0 and scores.max() < 1
    assert (random_scores(["new", *ids], 1)[1:] == scores).all()
    assert (random_scores(ids, 2) != scores).any()


def test_stratified_random_keeps_every_sources_share():
    frame = make_frame(3000).drop(columns="score")
    total = frame["n_tokens"].sum()
    scores, mask, certificate = select_random(frame, int(total) // 2, SEED)
    kept = frame[mask].groupby("source")["n_tokens"].sum()
    assert (kept / frame.groupby("source")["n_tokens"].sum()).between(0.45, 0.5).all()
    assert certificate["per"] == "source"
    assert len(scores) == len(frame)


def test_raw_keeps_everything_without_a_score():
    frame = make_frame(10)
    scores, mask, certificate = select_raw(frame, SEED)
    assert mask.all()
    assert np.isnan(scores).all()
    assert certificate["selected_tokens"] == frame["n_tokens"].sum()


def test_scores_of_two_readouts_are_not_selected_from():
    scores = frame_of([("s", 10, 0.0), ("s", 10, 0.0)]).assign(
        s1_mean=[5.0, 6.0], readout=["sample", "expected"]
    )
    cells = pd.DataFrame({"source": ["s"], "slot": ["A1"], "weight": [1.0]})
    with pytest.raises(UserError, match="different readouts"):
        select_by_method("mira_source", scores, cells, 10, 0.0, seed=1)
