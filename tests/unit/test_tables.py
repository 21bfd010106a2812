from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mira.audit.claims import load_claims
from mira.tables.anchors import anchors_table
from mira.tables.groups import groups_table
from mira.tables.headline import headline_table
from mira.tables.retention import retention_table
from mira.tables.separation import separation_table
from mira.tables.trust import trust_table
from mira.tables.write import Table, escape_latex, write_table

CLAIMS = Path(__file__).parents[2] / "config/claims.yaml"


def test_three_formats_hold_the_same_rows(tmp_path: Path):
    frame = pd.DataFrame(
        {"name": ["a|b", "50 % & c_d"], "n": [1234567, 2], "x": [0.5, np.nan], "ok": [True, False]}
    )
    table = Table(frame, "A caption.", "A note.", {"n": "Count"}, {"x": 2})
    write_table(table, tmp_path / "t.v1", stand_in="Stand-in.")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "t.v1.csv"), frame)
    markdown = (tmp_path / "t.v1.md").read_text()
    assert "| a\\|b | 1,234,567 | 0.50 | yes |" in markdown
    assert "| 50 % & c_d | 2 | – | no |" in markdown
    assert "*A note. Stand-in.*" in markdown
    latex = (tmp_path / "t.v1.tex").read_text()
    assert r"50 \% \& c\_d & 2 & – & no \\" in latex
    assert r"\begin{tabular}{lrrl}" in latex and "Stand-in." in latex


def test_escape_latex_escapes_each_character_once():
    assert escape_latex(r"a\b{c}") == r"a\textbackslash{}b\{c\}"


def test_headline_marks_the_rows_that_do_not_follow_from_their_terms():
    claims = load_claims(CLAIMS)
    runs = pd.DataFrame([{"run": "demo", "code": 1.0, "macro": 1.0}])
    frame = headline_table(claims, runs).frame
    published = frame[frame["origin"] == "published"]
    means = published[["code", "multipl_e", "sql", "swe"]].mean(axis=1)
    far = (means - published["macro"]).abs() > 0.0101
    assert published["agrees"].tolist() == (~far).tolist()
    assert frame.iloc[-1]["origin"] == "this run"


def test_groups_table_counts_by_source():
    groups = pd.DataFrame(
        {"source": ["b", "a"], "family": "qa", "group": ["g1", "g2"], "similarity": [0.9, 0.8]}
    )
    corpus = pd.DataFrame({"source": ["a", "a", "b"], "n_tokens": [5, 6, 7]})
    sampled = pd.DataFrame({"source": ["a", "a"]})
    table = groups_table(groups, corpus, sampled, sampled.head(1))
    rows = table.frame.set_index("source")[["records", "tokens", "sampled", "labelled"]]
    assert rows.loc["a"].tolist() == [2, 11, 2, 1] and rows.loc["b"].tolist() == [1, 7, 0, 0]
    assert "3 records, 18 tokens" in table.caption


def test_anchors_table_marks_repeated_names_whatever_their_case():
    def anchor(slot: str, name: str, references: list) -> dict:
        size = {"cluster_size": 30, "n_records": 9, "stability": 0.7}
        return {"slot": slot, "name": name, "references": references, **size}

    table = anchors_table(
        {
            "g2": [anchor("A1", "Depth", [{"score": 8}])],
            "g1": [
                anchor("A10", "tool selection", []),
                anchor("A2", "Tool Selection", []),
                anchor("A3", "Depth", []),
            ],
        }
    )
    rows = table.frame.set_index(["group", "slot"])
    assert rows.index.tolist() == [("g1", "A2"), ("g1", "A3"), ("g1", "A10"), ("g2", "A1")]
    assert rows.loc[("g1", "A2"), "same_name_as"] == "A10"
    assert pd.isna(rows.loc[("g1", "A3"), "same_name_as"])
    assert rows["calibrated"].tolist() == [False, False, False, True]
    assert table.note.startswith("2 of 4 slots")


def test_trust_table_compares_on_the_cells_the_student_keeps():
    cells = pd.DataFrame(
        {
            "group": "g1",
            "source": ["a", "b"],
            "slot": "A1",
            "keep": [True, False],
            "small": [False, True],
            "mae": [0.5, 2.0],
            "mae_constant": [1.0, 1.0],
            "spearman": [0.8, 0.1],
        }
    )
    ridge = cells.assign(spearman=[0.6, 0.9], mae=[0.7, 0.1])[::-1]
    row = trust_table(cells, ridge).frame.iloc[0]
    assert (row["kept_cells"], row["cells"], row["small_cells"]) == (1, 2, 1)
    assert row["spearman"] == pytest.approx(0.8) and row["spearman_ridge"] == pytest.approx(0.6)
    assert row["mae_ridge"] == pytest.approx(0.7)


def test_separation_table_puts_pooled_rows_first_and_names_the_best():
    frame = pd.DataFrame(
        {
            "method": ["random", "mira_group"] * 2,
            "source": ["a", "a", "ALL", "ALL"],
            "family": ["qa", "qa", None, None],
            "auroc": [0.5, 0.7, 0.49, 0.81],
            "base_rate": 0.7,
        }
    )
    table = separation_table(frame)
    assert table.frame["source"].tolist() == ["ALL", "ALL", "a", "a"]
    assert table.frame["method"].tolist()[:2] == ["random", "mira_group"]
    assert "0.81 (mira_group)" in table.caption


def test_retention_table_ends_with_the_whole_selection():
    frame = pd.DataFrame(
        {
            "source": ["a", "a", "b"],
            "group": ["g1", "g1", "g2"],
            "n_tokens": [10, 30, 60],
            "selected": [True, False, True],
        }
    )
    table = retention_table({"mira_group": frame})
    assert table.frame["mira_group"].tolist() == pytest.approx([0.25, 1.0, 0.7])
    assert table.frame.iloc[-1]["source"] == "all" and table.frame["tokens"].iloc[-1] == 100
