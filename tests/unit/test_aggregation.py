import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mira.aggregation import NO_CELL, NO_KEPT_SLOT, NO_SCORE, record_scores, weight_table
from mira.errors import UserError

SLOTS = 5


def make_cells(weights: dict[str, list[float]]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"source": source, "slot": f"A{i}", "weight": weight}
            for source, row in weights.items()
            for i, weight in enumerate(row, start=1)
        ]
    )


def score_one(row: list[float], weights: list[float], trim: float):
    scores, reasons = record_scores(
        np.array([row]), np.array(["x"]), make_cells({"x": weights}), trim
    )
    return scores[0], reasons[0]


def brute(row, weights, trim):
    kept = sorted((s, w) for s, w in zip(row, weights, strict=True) if w > 0 and not math.isnan(s))
    cut = math.floor(trim * len(kept))
    kept = kept[cut : len(kept) - cut]
    if not kept:
        return math.nan
    return sum(s * w for s, w in kept) / sum(w for _, w in kept)


ROWS = st.lists(st.sampled_from([math.nan, *map(float, range(11))]), min_size=SLOTS, max_size=SLOTS)
MASKS = st.lists(st.sampled_from([0.0, 1.0]), min_size=SLOTS, max_size=SLOTS)


@given(ROWS, MASKS, st.sampled_from([0.0, 0.1, 0.2, 0.25, 0.4, 0.49]))
def test_equals_the_definition(row, weights, trim):
    score, reason = score_one(row, weights, trim)
    expected = brute(row, weights, trim)
    assert score == pytest.approx(expected, abs=1 / 8192, nan_ok=True)
    assert (reason is None) == (not math.isnan(expected))


def test_trim_cuts_both_ends_of_the_kept_slots():
    assert score_one([0, 4, 5, 6, 10], [1] * 5, 0.2)[0] == 5.0
    assert score_one([0, 4, 5, 9, 10], [1, 1, 1, 1, 0], 0.25)[0] == 4.5
    assert score_one([0, 4, 5, 9, 10], [1, 1, 1, 1, 0], 0.24)[0] == 4.5


def test_fractional_weights_weigh():
    assert score_one([2, 8, 0, 0, 0], [1, 0.5, 0, 0, 0], 0.0)[0] == 4.0


def test_scores_are_multiples_of_the_quantum():
    score, _ = score_one([1, 1, 2, 0, 0], [1, 1, 1, 0, 0], 0.0)
    assert score * 4096 == round(score * 4096)


def test_records_without_a_score_say_why():
    cells = make_cells({"masked": [0] * 5, "partly": [1, 0, 0, 0, 0]})
    rows = np.array([[5.0] * 5, [np.nan, 5, 5, 5, 5], [5.0] * 5, [5.0] * 5])
    sources = np.array(["masked", "partly", "unknown", "partly"])
    scores, reasons = record_scores(rows, sources, cells, 0.1)
    assert np.isnan(scores[:3]).all()
    assert list(reasons) == [NO_KEPT_SLOT, NO_SCORE, NO_CELL, None]
    assert scores[3] == 5.0


def test_result_of_a_row_does_not_depend_on_the_others():
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 11, (200, SLOTS)).astype(float)
    sources = rng.choice(["x", "y"], 200)
    cells = make_cells({"x": [1, 1, 1, 0, 1], "y": [0, 1, 1, 1, 1]})
    order = rng.permutation(200)
    straight, _ = record_scores(rows, sources, cells, 0.25)
    shuffled, _ = record_scores(rows[order], sources[order], cells, 0.25)
    assert (shuffled == straight[order]).all()


def test_missing_cells_weigh_nothing():
    names, weights = weight_table(make_cells({"x": [1, 1]}), 3)
    assert names == ["x"]
    assert weights.tolist() == [[1, 1, 0]]


def test_trim_of_a_half_is_refused():
    with pytest.raises(UserError, match=r"selection\.trim"):
        score_one([1.0] * 5, [1] * 5, 0.5)
