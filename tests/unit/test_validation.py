import logging
import math

import numpy as np
import pandas as pd
import pytest

from mira.errors import UserError
from mira.ridge import predict_ridge
from mira.validation import (
    CELL_COLUMNS,
    MaskPolicy,
    assume_cells,
    check_groups,
    evaluate_cells,
    evaluate_readouts,
    predictions_from_scores,
    summarise,
)

ANCHORS = [{"slot": "A1", "name": "Clarity"}, {"slot": "A2", "name": "Clarity"}]
POLICY = MaskPolicy(max_mae=1.0, min_records=10)


def make_labels(n_large: int = 40, n_small: int = 6) -> pd.DataFrame:
    """Source 'large' and source 'small', with training rows of known median."""
    rng = np.random.default_rng(0)
    rows = []
    for source, n in (("large", n_large), ("small", n_small)):
        for i in range(n):
            s1, s2 = rng.integers(0, 11, 2)
            rows.append(
                {"id": f"{source}{i}", "source": source, "split": "validation"}
                | {"s1": float(s1), "s2": float(s2)}
            )
    for i, score in enumerate([2.0, 4.0, 9.0]):
        rows.append({"id": f"t{i}", "source": "large", "split": "train", "s1": score, "s2": 5.0})
    return pd.DataFrame(rows)


def student_of(labels: pd.DataFrame, error: dict[str, float]) -> pd.DataFrame:
    held_out = labels[labels["split"] == "validation"]
    return held_out[["id", "s1", "s2"]].assign(**{s: held_out[s] + e for s, e in error.items()})


def cell(cells: pd.DataFrame, source: str, slot: str) -> pd.Series:
    return cells.set_index(["source", "slot"]).loc[(source, slot)]


def test_a_cell_is_kept_below_the_threshold_and_masked_at_it():
    labels = make_labels()
    cells = evaluate_cells(
        labels, student_of(labels, {"s1": 0.5, "s2": -1.0}), ANCHORS, POLICY, group="g1"
    )
    assert tuple(cells.columns) == tuple(CELL_COLUMNS)
    good, bad = cell(cells, "large", "A1"), cell(cells, "large", "A2")
    assert (good["n"], good["keep"], good["weight"], good["small"]) == (40, True, 1.0, False)
    assert good["mae"] == pytest.approx(0.5)
    assert good["bias"] == pytest.approx(0.5)
    assert good["spearman"] == pytest.approx(1.0)
    assert good["reason"].startswith("kept: MAE 0.50 below 1.00 on 40 records")
    assert (bad["keep"], bad["weight"]) == (False, 0.0)
    assert bad["reason"].startswith("masked: MAE 1.00 not below 1.00 on 40 records")


def test_constant_predictor_is_the_median_of_the_training_labels():
    labels = make_labels()
    cells = evaluate_cells(labels, student_of(labels, {}), ANCHORS, POLICY, group="g1")
    for source in ("large", "small"):  # 'small' has no training label: the group's median
        teacher = labels.query("source == @source and split == 'validation'")["s1"]
        assert cell(cells, source, "A1")["mae_constant"] == pytest.approx(
            (teacher - 4).abs().mean()
        )


def test_a_small_cell_takes_the_groups_decision_and_says_so():
    labels = make_labels()
    student = student_of(labels, {})
    student.loc[student["id"].str.startswith("small"), "s1"] += 3
    cells = evaluate_cells(labels, student, ANCHORS, POLICY, group="g1")
    small = cell(cells, "small", "A1")
    assert (small["small"], small["n"], small["mae"]) == (True, 6, 3.0)
    assert small["keep"]  # pooled MAE 18/46 = 0.39
    assert "small cell (6 of at least 10 records)" in small["reason"]
    assert "group g1 decides: pooled MAE 0.39 below 1.00 on 46 records" in small["reason"]


def test_only_pairs_with_both_scores_count():
    labels = make_labels()
    student = student_of(labels, {})
    labels.loc[0, "s1"] = np.nan
    student.loc[[1, 2], "s1"] = np.nan
    cells = evaluate_cells(labels, student.drop(index=3), ANCHORS, POLICY, group="g1")
    assert cell(cells, "large", "A1")["n"] == 36
    assert cell(cells, "large", "A2")["n"] == 39


def test_constant_scores_give_no_rho():
    labels = make_labels()
    student = student_of(labels, {}).assign(s1=5.0)
    cells = evaluate_cells(labels, student, ANCHORS, POLICY, group="g1")
    assert math.isnan(cell(cells, "large", "A1")["spearman"])
    assert "Spearman unknown" in cell(cells, "large", "A1")["reason"]


def test_source_without_labels_gets_cells_from_its_group():
    labels = make_labels()
    cells = evaluate_cells(
        labels,
        student_of(labels, {}),
        ANCHORS,
        POLICY,
        group="g1",
        sources=["large", "small", "unseen"],
    )
    unseen = cell(cells, "unseen", "A1")
    assert (unseen["n"], unseen["small"], unseen["keep"]) == (0, True, True)
    nothing = evaluate_cells(
        labels[labels["split"] == "train"], student_of(labels, {}), ANCHORS, POLICY, group="g1"
    )
    assert not nothing["keep"].any()
    assert nothing["reason"].str.contains("no held-out pair").all()


def test_group_without_a_kept_slot_is_explained():
    labels = make_labels()
    cells = evaluate_cells(
        labels, student_of(labels, {"s1": 1.5, "s2": 2.5}), ANCHORS, POLICY, group="text-2"
    )
    with pytest.raises(UserError) as error:
        check_groups(cells, 1.0)
    for part in ("'text-2'", "MAE seen is 1.50", "A1", "validation.max_mae"):
        assert part in str(error.value)


def test_source_without_a_kept_slot_is_a_warning(caplog):
    labels = make_labels(n_small=20)
    student = student_of(labels, {})
    student.loc[student["id"].str.startswith("small"), ["s1", "s2"]] += 3
    cells = evaluate_cells(labels, student, ANCHORS, POLICY, group="g1")
    with caplog.at_level(logging.WARNING):
        check_groups(cells, 1.0)
    assert "source small keeps no slot" in caplog.text


def test_summary_compares_on_the_students_kept_cells():
    labels = make_labels()
    cells = evaluate_cells(labels, student_of(labels, {"s2": 2.0}), ANCHORS, POLICY, group="g1")
    worse = student_of(labels, {})
    worse["s1"] = worse["s1"].sample(frac=1, random_state=1).to_numpy()
    ridge = evaluate_cells(labels, worse, ANCHORS, POLICY, group="g1")
    readouts = evaluate_readouts(
        labels, {"expected": student_of(labels, {}), "sample": worse.head(30)}, ANCHORS, group="g1"
    )
    summary = summarise(cells, ridge, readouts)["groups"]["g1"]
    assert (summary["n_cells"], summary["kept_cells"], summary["kept_share"]) == (4, 2, 0.5)
    assert summary["small_cells"] == 2
    assert summary["mean_spearman_kept"] == pytest.approx(1.0)
    kept_ridge = ridge[ridge["slot"] == "A1"]["spearman"].mean()
    assert summary["mean_spearman_ridge"] == pytest.approx(kept_ridge)
    assert summary["student_minus_ridge"] == pytest.approx(1 - kept_ridge)
    assert summary["readouts"]["expected"]["mean_spearman"] == pytest.approx(1.0)
    assert summary["readouts"]["sample"]["mean_spearman"] < 0.6


def test_readouts_are_compared_on_the_records_all_of_them_scored():
    labels = make_labels()
    student = student_of(labels, {})
    readouts = evaluate_readouts(
        labels, {"expected": student, "sample": student.head(12)}, ANCHORS, group="g1"
    )
    large = readouts.query("source == 'large'")
    assert (large["n"] == 12).all()
    assert set(large["readout"]) == {"expected", "sample"}


def test_predictions_from_scores_takes_one_statistic():
    scores = pd.DataFrame(
        {
            "id": ["a"],
            "source": ["x"],
            "s1_mean": [4.5],
            "s1_sd": [1.0],
            "s1_mode": [5.0],
            "s2_mean": [1.0],
            "s2_mode": [2.0],
        }
    )
    assert predictions_from_scores(scores).to_dict("records") == [{"id": "a", "s1": 4.5, "s2": 1.0}]
    assert predictions_from_scores(scores, "mode")["s1"].item() == 5.0


def test_ridge_learns_what_words_tell_and_handles_missing_labels():
    rng = np.random.default_rng(0)

    def document():
        good = rng.integers(0, 6)
        words = ["lucid"] * good + ["muddled"] * (5 - good)
        words += list(rng.choice(["one", "two", "three", "four"], 20))
        return " ".join(rng.permutation(words)), 2.0 * good

    texts, scores = zip(*(document() for _ in range(150)), strict=True)
    labels = np.column_stack([scores, scores, np.full(150, np.nan)])
    labels[:20, 1] = np.nan
    predicted = predict_ridge(texts[:100], labels[:100], texts[100:])
    assert predicted.shape == (50, 3)
    assert np.abs(predicted[:, 0] - labels[100:, 0]).mean() < 1.0
    assert np.abs(predicted[:, 1] - labels[100:, 0]).mean() < 1.0
    assert np.isnan(predicted[:, 2]).all()
    assert predicted[:, :2].min() >= 0
    assert predicted[:, :2].max() <= 10


def test_errors_are_of_the_reported_score_and_ranks_of_the_prediction():
    labels = make_labels()
    ranked = student_of(labels, {"s1": 3.0, "s2": 0.0})
    reported = student_of(labels, {"s1": 0.25, "s2": 2.0})
    cells = evaluate_cells(labels, ranked, ANCHORS, POLICY, group="g1", reported=reported)
    first, second = cell(cells, "large", "A1"), cell(cells, "large", "A2")
    assert first["mae"] == pytest.approx(0.25) and first["keep"]
    assert second["mae"] == pytest.approx(2.0) and not second["keep"]
    constant = reported.assign(s1=5.0)
    flat = evaluate_cells(labels, ranked, ANCHORS, POLICY, group="g1", reported=constant)
    assert cell(flat, "large", "A1")["spearman"] == pytest.approx(1.0)


def test_assumed_cells_keep_everything_and_say_so():
    groups = pd.DataFrame({"source": ["a", "b"], "group": ["g1", "g2"]})
    cells = assume_cells(groups, {"g1": ANCHORS, "g2": ANCHORS})
    assert list(cells.columns) == CELL_COLUMNS and len(cells) == 4
    assert cells["keep"].all() and (cells["weight"] == 1).all() and cells["mae"].isna().all()
    assert cells["reason"].str.contains("not measured").all()
