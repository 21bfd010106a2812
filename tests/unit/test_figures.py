from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest

from mira.figures.agreement import mean_spearman, plot_agreement
from mira.figures.loss_curves import loss_history, plot_loss_curves
from mira.figures.reliability_mask import plot_reliability_mask
from mira.figures.retention import plot_retention, retention_by_source
from mira.figures.score_length import methods_by_score, plot_score_length, trends
from mira.figures.separation import plot_separation
from mira.figures.source_similarity import plot_source_similarity
from mira.figures.style import method_label, ordered_groups, ordered_methods, save_figure
from mira.figures.token_flow import plot_token_flow
from mira.io import read_json, sha256, write_json

SOURCES = {"b_text": "g10", "a_qa": "g2", "c_qa": "g2"}
STAND_IN = "Stand-in run."


@pytest.fixture
def groups() -> pd.DataFrame:
    return pd.DataFrame(SOURCES.items(), columns=["source", "group"])


@pytest.fixture
def similarity() -> pd.DataFrame:
    rows = [
        (a, b, 1.0 if a == b else 0.25 + 0.5 * (SOURCES[a] == SOURCES[b]))
        for a in SOURCES
        for b in SOURCES
    ]
    return pd.DataFrame(rows, columns=["source_a", "source_b", "similarity"])


@pytest.fixture
def cells() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = []
    for source, group in SOURCES.items():
        for slot in ("A1", "A2", "A10"):
            mae, rho = rng.uniform(0.3, 1.6), rng.uniform(0.3, 0.8)
            low, high = np.tanh(np.arctanh(rho) + np.array([-0.2, 0.2]))
            rows.append((group, source, slot, "Name", 40, mae, rho, low, high, mae < 1.0))
    columns = ["group", "source", "slot", "name", "n", "mae", "spearman", "spearman_low"]
    frame = pd.DataFrame(rows, columns=[*columns, "spearman_high", "keep"])
    frame["small"] = False
    frame["reason"] = "mae"
    frame.loc[0, ["mae", "spearman", "spearman_low", "spearman_high"]] = np.nan
    frame.loc[0, "keep"] = False
    return frame


@pytest.fixture
def selections() -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(1)
    base = pd.DataFrame({"id": [f"r{i}" for i in range(90)], "source": list(SOURCES) * 30})
    base["group"] = base["source"].map(SOURCES)
    base["n_tokens"] = rng.integers(10, 900, 90)
    mira = base.assign(score=rng.normal(6, 1, 90), reason=None)
    ranks = mira.groupby("source")["score"].rank(pct=True)
    return {
        "mira_source": mira.assign(selected=ranks > 0.5),
        "mira_global": mira.assign(selected=mira["score"] > 6),
        "random": base.assign(score=rng.random(90), selected=rng.random(90) > 0.5),
        "raw": base.assign(score=np.nan, selected=True),
    }


@pytest.fixture
def separation() -> pd.DataFrame:
    rows = [
        (method, source, family, 20, 9, auroc, auroc - 0.1, auroc + 0.1, 0.8, 0.7, 0.9, 0.69)
        for method, auroc in (("random", 0.5), ("mira_group", 0.8), ("mira_source", 0.8))
        for source, family in (("ALL", None), ("MEAN", None), ("a_qa", "qa"), ("b_text", "text"))
    ]
    columns = ["method", "source", "family", "n_intact", "n_spoiled"]
    measures = [f"{m}{end}" for m in ("auroc", "precision") for end in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=[*columns, *measures, "base_rate"])


@pytest.fixture
def states() -> dict[str, dict]:
    log = [{"step": 10, "loss": 2.0}, {"step": 20, "loss": 1.5}, {"step": 20, "eval_loss": 1.6}]
    return {"base": {"log_history": log[:2]}, "g1": {"log_history": [*log, {"step": 20}]}}


def _texts(figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(matplotlib.text.Text))


def test_saved_bytes_are_the_same_each_time_and_fonts_are_embedded(cells, tmp_path: Path):
    for name in ("one", "two"):
        figure, data = plot_agreement(cells, cells, STAND_IN)
        save_figure(figure, data, tmp_path / name / "figure")
    for suffix in (".pdf", ".png", ".csv"):
        assert sha256(tmp_path / f"one/figure{suffix}") == sha256(tmp_path / f"two/figure{suffix}")
    pdf = (tmp_path / "one/figure.pdf").read_bytes()
    assert b"/FontFile2" in pdf and b"/Type3" not in pdf and b"CreationDate" not in pdf
    assert (tmp_path / "one/figure.png").read_bytes().startswith(b"\x89PNG")
    written = pd.read_csv(tmp_path / "one/figure.csv")
    pd.testing.assert_frame_equal(written, data, check_dtype=False)
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == [
        "figure.csv",
        "figure.pdf",
        "figure.png",
    ]


def test_plots_leave_the_users_matplotlib_settings_alone(groups, similarity):
    with matplotlib.rc_context({"font.size": 31.0}):
        figure, _ = plot_source_similarity(groups, similarity)
        assert matplotlib.rcParams["font.size"] == 31.0
    assert max(text.get_fontsize() for text in figure.findobj(matplotlib.text.Text)) < 20


def test_stand_in_notice_is_shown_only_where_given(groups, similarity):
    assert STAND_IN in _texts(plot_source_similarity(groups, similarity, STAND_IN)[0])
    assert STAND_IN not in _texts(plot_source_similarity(groups, similarity)[0])


def test_source_similarity_draws_its_data_ordered_by_group(groups, similarity):
    figure, data = plot_source_similarity(groups, similarity)
    assert data["source_a"].drop_duplicates().tolist() == ["a_qa", "c_qa", "b_text"]
    mesh = figure.axes[0].collections[0]
    np.testing.assert_allclose(mesh.get_array().ravel(), data["similarity"])
    outlines = [p for p in figure.axes[0].patches if not p.get_fill()]
    assert sorted(patch.get_width() for patch in outlines) == [1, 2]


def test_reliability_mask_hatches_exactly_the_masked_cells(cells):
    figure, data = plot_reliability_mask(cells, threshold=1.0, stand_in=STAND_IN)
    hatched = [p for axes in figure.axes[:2] for p in axes.patches if p.get_hatch()]
    assert len(hatched) == (~data["keep"]).sum() > 0
    assert data["slot"].tolist()[:3] == ["A1", "A2", "A10"]
    for mae in data["mae"].dropna():
        assert f"{mae:.2f}" in _texts(figure)


def test_agreement_data_are_the_points_drawn(cells):
    ridge = cells.assign(spearman=cells["spearman"] - 0.2)
    figure, data = plot_agreement(cells, ridge)
    student = data[(data["predictor"] == "student") & (data["group"] == "g2")]
    lines = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    np.testing.assert_allclose(lines[0].get_xdata(), student["spearman"])
    assert set(data["predictor"]) == {"student", "ridge"}


def test_mean_spearman_of_one_cell_is_that_cell_and_of_none_is_missing(cells):
    one = cells.iloc[[4]]
    expected = one[["spearman", "spearman_low", "spearman_high"]].to_numpy()[0]
    np.testing.assert_allclose(mean_spearman(one), expected, atol=1e-9)
    assert np.isnan(mean_spearman(cells.iloc[[0]])).all()


def test_mean_spearman_narrows_with_more_cells(cells):
    cell = cells.iloc[[4]]
    _, low, high = mean_spearman(pd.concat([cell] * 4))
    assert high - low < 0.6 * (cell["spearman_high"] - cell["spearman_low"]).iloc[0]


def test_methods_with_equal_scores_share_a_panel_and_raw_has_none(selections):
    assert methods_by_score(selections) == [["random"], ["mira_global", "mira_source"]]
    figure, data = plot_score_length(selections)
    assert "MIRA (global, source)" in _texts(figure)
    density = data[data["kind"] == "density"].groupby("method")["n"].sum()
    assert density.to_dict() == {"random": 90, "mira_global+mira_source": 90}


def test_score_length_survives_missing_scores_and_no_scores(selections):
    frame = selections["mira_global"].copy()
    frame.loc[:4, "score"] = np.nan
    _, data = plot_score_length({"mira_global": frame})
    assert data.loc[data["kind"] == "density", "n"].sum() == 85
    _, empty = plot_score_length({"raw": selections["raw"]})
    assert empty.empty


def test_trends_cover_every_record_once(selections):
    frame = selections["random"]
    assert trends(frame).groupby("source")["n"].sum().to_dict() == dict.fromkeys(SOURCES, 30)


def test_retention_counts_tokens(selections):
    figure, data = plot_retention(selections)
    assert "raw" not in set(data["method"])
    row = data[(data["method"] == "mira_global") & (data["source"] == "a_qa")].iloc[0]
    frame = selections["mira_global"].query("source == 'a_qa'")
    kept = frame.loc[frame["selected"], "n_tokens"].sum()
    assert row["share"] == pytest.approx(kept / frame["n_tokens"].sum())
    widths = [bar.get_width() for bar in figure.axes[1].patches if bar.get_height() < 0.9]
    drawn = data.loc[data["method"] == "mira_global", "share"]
    np.testing.assert_allclose(sorted(widths)[-3:], sorted(100 * drawn))
    assert (retention_by_source({"raw": selections["raw"]})["share"] == 1).all()


def test_separation_draws_shared_rankings_once_and_pooled_rows_first(separation):
    figure, data = plot_separation(separation, STAND_IN)
    auroc = data[data["panel"] == "auroc"]
    assert auroc["methods"].drop_duplicates().tolist() == ["random", "mira_group+mira_source"]
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["all records", "within sources", "a_qa", "b_text"]
    assert (data["panel"] == "precision").sum() == len(separation)


def test_loss_history_keeps_losses_only(states, tmp_path: Path):
    write_json(states["g1"], tmp_path / "trainer_state.json")
    history = loss_history({**states, "g1": read_json(tmp_path / "trainer_state.json")})
    assert history.groupby(["curve", "split"]).size().to_dict() == {
        ("base", "train"): 2,
        ("g1", "train"): 2,
        ("g1", "validation"): 1,
    }
    figure, data = plot_loss_curves(history)
    assert len(figure.axes) == 2 and len(data) == len(history)
    assert len(plot_loss_curves(history[history["curve"] == "g1"])[0].axes) == 1


def test_token_flow_shows_each_count(tmp_path: Path):
    steps = pd.DataFrame({"step": ["read", "kept"], "records": [12, 10], "tokens": [np.nan, 3456]})
    figure, data = plot_token_flow(steps)
    assert "3,456" in _texts(figure) and data["records"].tolist() == [12, 10]


def test_orders_and_labels():
    assert ordered_groups(["g10", "g2", "g2"]) == ["g2", "g10"]
    assert ordered_methods(["mine", "mira_group", "random"]) == ["random", "mira_group", "mine"]
    assert method_label(["ppl"]) == "PPL"
    assert method_label(["mira_global", "mira_group"]) == "MIRA (global, group)"
