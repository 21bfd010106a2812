from __future__ import annotations

import base64
import hashlib
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mira.errors import UserError
from mira.io import write_text
from mira.report import write_report
from mira.report.figures import embed_figures
from mira.report.funnel import funnel, reasons
from mira.report.gather import gather, read_stage_seconds
from mira.report.render import audit_view, flatten, heat, render
from mira.report.samples import pick_records
from mira.report.selections import kept_by_method, overlap, retention
from mira.report.summary import separation_verdict, stand_ins, summary
from mira.report.trust import agreement
from mira.report.wording import decimal, duration, short_count
from mira.terminal_summary import terminal_summary

OPTIONAL = {
    "clustering": None,
    "discovery": None,
    "anchoring": None,
    "labelling": "No bill of the teacher was found",
    "validation": "nothing can be said about trust",
    "scoring": None,
    "selection": "Nothing has been selected",
    "downstream": "how well the scores find damage was not measured",
    "figures": "No figures were drawn",
    "audit": "The audit has not been run",
}


class Structure(HTMLParser):
    """Headings, tables and references of a page, as a screen reader meets them."""

    def __init__(self) -> None:
        super().__init__()
        self.headings: list[int] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.unscoped: int = 0
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "th" and "scope" not in values:
            self.unscoped += 1
        if tag == "a":
            self.links.append(values["href"] or "")
        if "id" in values:
            self.ids.append(values["id"] or "")
        self.sources += [v or "" for k, v in attrs if k in ("src", "srcset", "poster", "data")]


@pytest.fixture
def page(synthetic_run: Path, synthetic_settings: dict) -> str:
    return render(gather(synthetic_run, synthetic_settings))


def test_page_is_well_structured(page: str) -> None:
    found = Structure()
    found.feed(page)
    assert found.headings[0] == 1 and found.headings.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(found.headings, found.headings[1:], strict=False))
    assert found.tags.count("table") == found.tags.count("caption") > 10
    assert found.unscoped == 0
    assert len(found.ids) == len(set(found.ids))
    assert {link.removeprefix("#") for link in found.links} <= set(found.ids)


def test_page_needs_nothing_from_elsewhere(page: str) -> None:
    found = Structure()
    found.feed(page)
    assert found.sources and all(source.startswith("data:") for source in found.sources)
    assert "@import" not in page and "url(" not in page
    assert len(page.encode()) < 5_000_000


def test_policy_allows_only_the_pages_own_style_and_script(page: str) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy and "default-src &#39;none&#39;" in policy[1]
    for tag in ("style", "script"):
        content = re.search(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert content
        digest = base64.b64encode(hashlib.sha256(content[1].encode()).digest()).decode()
        assert f"sha256-{digest}" in policy[1]
    assert " style=" not in page


def test_text_of_records_is_escaped_and_control_characters_are_shown(
    synthetic_run: Path, synthetic_settings: dict
) -> None:
    frame = pd.read_parquet(synthetic_run / "sampling" / "corpus" / "shell_traces.parquet")
    frame["text"] = "<script>boom()</script>\x00"
    frame.to_parquet(synthetic_run / "sampling" / "corpus" / "shell_traces.parquet")
    page = render(gather(synthetic_run, synthetic_settings))
    assert "<script>boom()" not in page and "\x00" not in page
    assert "&lt;script&gt;boom()&lt;/script&gt;␀" in page


def test_page_is_the_same_every_time_and_blind_to_the_spoil_marks(
    synthetic_run: Path, synthetic_settings: dict, page: str
) -> None:
    shutil.rmtree(synthetic_run / "sampling" / "hidden")
    assert render(gather(synthetic_run, synthetic_settings)) == page


@pytest.mark.parametrize("missing", OPTIONAL)
def test_a_missing_part_is_left_out_with_a_sentence(
    missing: str, synthetic_run: Path, synthetic_settings: dict
) -> None:
    shutil.rmtree(synthetic_run / missing)
    page = render(gather(synthetic_run, synthetic_settings))
    assert (OPTIONAL[missing] or "</html>") in page
    assert terminal_summary(synthetic_run).startswith("Run 'demo'")


def test_a_run_with_a_corpus_only_still_gets_a_page(synthetic_run: Path) -> None:
    for name in OPTIONAL:
        shutil.rmtree(synthetic_run / name)
    shutil.rmtree(synthetic_run.parents[1] / "benchmarks")
    page = render(gather(synthetic_run, {}))
    assert all(sentence in page for sentence in OPTIONAL.values() if sentence)
    assert "This run left no timings" in page
    assert "Made with stand-ins" not in page


def test_without_a_corpus_the_user_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"sampling/corpus.*run the workflow first"):
        gather(tmp_path / "results" / "demo", {})


def test_report_is_written_where_asked(synthetic_run: Path, synthetic_settings: dict) -> None:
    path = synthetic_run / "report.html"
    write_report(synthetic_run, synthetic_settings, path)
    assert path.read_text(encoding="utf-8").endswith("</html>\n")


def test_funnel_adds_up(synthetic_run: Path, synthetic_settings: dict) -> None:
    data = gather(synthetic_run, synthetic_settings)
    steps = {step.name: step for step in funnel(data, "mira_group")}
    assert steps["Read"].records == steps["Left out"].records + steps["Corpus"].records == 63
    assert steps["Judged freely"].records == 12
    assert steps["Labelled on the anchors"].records == 30
    assert steps["Labelled on the anchors"].note == "1 more gave no usable reply"
    selected = steps["Selected (MIRA per group)"]
    assert selected.records == data.certificates["mira_group"]["selected_records"]
    assert selected.tokens == data.certificates["mira_group"]["selected_tokens"]


def test_reasons_name_the_commonest_and_count_the_rest() -> None:
    frame = pd.DataFrame({"reason": ["a"] * 3 + ["b"] * 2 + ["c"]})
    assert reasons(frame, most=2) == "3 a, 2 b, 1 for other reasons"


def _selection(selected: list[bool], method_tokens: list[int]) -> pd.DataFrame:
    count = len(selected)
    return pd.DataFrame(
        {
            "id": [f"r{i}" for i in range(count)],
            "source": ["a", "a", "b", "b"][:count],
            "group": "g1",
            "n_tokens": method_tokens,
            "score": np.arange(count, dtype=float),
            "selected": selected,
            "reason": None,
        }
    )


def test_retention_and_overlap_count_tokens() -> None:
    tokens = [10, 30, 20, 40]
    selections = {
        "mira_group": _selection([True, False, True, False], tokens),
        "random": _selection([True, True, False, False], tokens),
    }
    shares = retention(selections, "source")
    assert shares.loc["a", "mira_group"] == 0.25 and shares.loc["a", "random"] == 1.0
    assert shares.loc["b", "random"] == 0.0
    common = overlap(selections)
    assert common.loc["mira_group", "random"] == pytest.approx(10 / 30)
    assert common.loc["random", "mira_group"] == pytest.approx(10 / 40)
    kept = kept_by_method(selections, {"random": {"budget_tokens": 50}})
    assert [(row.tokens, row.budget) for row in kept] == [(30, None), (40, 50)]


def _labels(splits: dict[str, str]) -> pd.DataFrame:
    rows = [("a", record, split) for record, split in splits.items()]
    return pd.DataFrame(rows, columns=["source", "id", "split"])


@given(order=st.permutations(range(24)), seed=st.integers(0, 5))
def test_picks_do_not_depend_on_row_order_and_visit_every_source(
    order: list[int], seed: int
) -> None:
    frame = pd.DataFrame(
        {
            "id": [f"r{i}" for i in range(24)],
            "source": ["a", "b", "c"] * 8,
            "group": "g1",
            "n_tokens": 5,
            "score": 5.0,
            "selected": [i < 12 for i in range(24)],
        }
    )
    picks = pick_records(frame, _labels({}), seed, 6)
    assert picks == pick_records(frame.iloc[order], _labels({}), seed, 6)
    for outcome in (True, False):
        sources = [pick.source for pick in picks if pick.kept == outcome]
        assert sorted(sources) == ["a", "a", "b", "b", "c", "c"]
    assert len({pick.id for pick in picks}) == 12


def test_picks_prefer_held_out_labels_and_skip_unscored_records() -> None:
    frame = pd.DataFrame(
        {
            "id": list("pqrs"),
            "source": "a",
            "group": "g1",
            "n_tokens": 5,
            "score": [5.0, 6.0, 7.0, np.nan],
            "selected": [True, True, True, False],
        }
    )
    labels = _labels({"q": "train", "r": "validation", "s": "validation"})
    assert [pick.id for pick in pick_records(frame, labels, 1)] == ["r", "q", "p"]


def test_agreement_averages_student_and_ridge_over_the_same_cells() -> None:
    base = {"group": "g1", "mae": 0.5, "mae_constant": 1.0}
    cells = pd.DataFrame(
        [
            {**base, "source": "a", "slot": "A1", "spearman": 0.8, "keep": True},
            {**base, "source": "a", "slot": "A2", "spearman": 0.1, "keep": False},
            {**base, "source": "b", "slot": "A1", "spearman": 0.6, "keep": True},
        ]
    )
    ridge = cells.assign(spearman=[0.5, 0.9, 0.3], keep=True)
    (row,) = agreement(cells, ridge).to_dict("records")
    assert (row["cells"], row["kept"]) == (3, 2)
    assert row["spearman"] == pytest.approx(0.7)
    assert row["spearman_ridge"] == pytest.approx(0.4)


def _separation(**auroc: float) -> pd.DataFrame:
    rows = [
        {
            "method": method,
            "source": "ALL",
            "auroc": value,
            "auroc_low": value - 0.02,
            "auroc_high": value + 0.02,
        }
        for method, value in auroc.items()
    ]
    return pd.DataFrame(rows, columns=["method", "source", "auroc", "auroc_low", "auroc_high"])


def test_a_baseline_that_wins_is_named() -> None:
    won = " ".join(separation_verdict(_separation(mira_group=0.8, random=0.5, raw=np.nan)))
    assert "0.80 [0.78, 0.82]" in won and "beats" not in won
    lost = " ".join(separation_verdict(_separation(mira_group=0.6, dsir=0.9)))
    assert "A baseline beats MIRA here: DSIR" in lost and "do not overlap" in lost
    close = " ".join(separation_verdict(_separation(mira_group=0.60, dsir=0.61)))
    assert "beats MIRA" in close and "their intervals overlap" in close
    assert separation_verdict(_separation()) == []


def test_summary_says_what_the_numbers_say(synthetic_run: Path, synthetic_settings: dict) -> None:
    data = gather(synthetic_run, synthetic_settings)
    text = " ".join(summary(data))
    tokens = data.certificates["mira_group"]["selected_tokens"]
    assert "60 records" in text and "6 sources in 3 families" in text
    assert "3 groups" in text and "15 anchors" in text
    assert "78 of 90 cells" in text
    assert f"{tokens:,} tokens" in text


def test_stand_ins_are_named_only_where_there_are_any(synthetic_settings: dict) -> None:
    assert len(stand_ins(synthetic_settings)) == 2
    real = {"teacher": {"kind": "endpoint"}, "distillation": {"base_model": "some/model"}}
    assert stand_ins(real) == [] and stand_ins({}) == []


def test_figures_shrink_until_they_fit(tmp_path: Path) -> None:
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 255, (300, 1800, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    write_text("From the run.", tmp_path / "noise.txt")
    (large,) = embed_figures(tmp_path)
    (small,) = embed_figures(tmp_path, budget=200_000)
    assert len(small.uri) < 200_000 < len(large.uri)
    assert (small.width, small.height) == (large.width, large.height) == (1224, 204)
    assert small.caption == "From the run."


def test_seconds_are_summed_per_stage_over_both_file_formats(synthetic_run: Path) -> None:
    assert read_stage_seconds(synthetic_run) == {"sampling": 12.5, "distillation": 206.0}


def test_audit_shows_disagreements_first() -> None:
    findings = [{"id": "a", "verdict": "agrees"}, {"id": "b", "verdict": "disagrees"}]
    view = audit_view({"findings": findings})
    assert [finding["id"] for finding in view["findings"]] == ["b", "a"]
    assert view["disagreeing"] == findings[1:]
    assert view["counts"] == {"disagrees": 1, "agrees": 1}
    assert audit_view({})["findings"] == []


def test_numbers_read_well() -> None:
    assert short_count(812) == "812" and short_count(np.int64(41_300)) == "41.3 k"
    assert short_count(1_284_000) == "1.28 M"
    assert decimal(-0.126) == "−0.13" and decimal(float("nan")) == decimal(None) == "–"
    assert [duration(s) for s in (4.21, 59.4, 185, 7_800)] == [
        "4.2 s",
        "59 s",
        "3 min 05 s",
        "2 h 10 min",
    ]
    assert [heat(v) for v in (0.0, 0.5, 1.7, float("nan"))] == ["heat-0", "heat-5", "heat-10", ""]
    assert flatten({"cost": {"calls": 1200, "money": 0.0125}}) == [
        ("Cost, calls", "1,200"),
        ("Cost, money", "0.0125"),
    ]


def test_terminal_summary_fits_a_screen_and_names_the_essentials(synthetic_run: Path) -> None:
    write_text("", synthetic_run / "report.html")
    text = terminal_summary(synthetic_run)
    opening, _, tables = text.partition("\n\n")
    assert opening.endswith(f"Report: {synthetic_run / 'report.html'}")
    assert max(map(len, tables.splitlines())) <= 88 and len(text.splitlines()) <= 45
    assert re.search(r"MIRA per group +0\.840 +\[0\.79, 0\.88\]", text)
    assert re.search(r"g1 +0\.\d\d +0\.\d\d +26 of 30", text)
    assert re.search(r"distillation +3 min 26 s", text)
    assert "Audit: 1 disagrees, 2 agrees, 1 not published" in text
