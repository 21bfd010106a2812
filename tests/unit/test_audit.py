from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mira.audit.checks import run_audit
from mira.audit.claims import Claims, MeanCheck, load_claims
from mira.audit.evidence import MEASURES, PER_METHOD, Evidence, gather_evidence
from mira.audit.findings import count_verdicts
from mira.audit.published import check_published, recompute_means
from mira.audit.run import check_against_published, check_itself, selected_by_rule
from mira.audit.write import write_audit
from mira.errors import UserError
from mira.io import read_json, write_json, write_jsonl, write_parquet
from mira.selection import select, selection_table

CLAIMS = Path(__file__).parents[2] / "config/claims.yaml"
PLACES = {"card": {"title": "a card", "grade": "seed"}}


def _table(rows: dict[str, list[float]]) -> dict:
    return {
        "title": "Results",
        "place": "card",
        "unit": "percent",
        "decimals": 2,
        "columns": {"a": "A", "b": "B", "macro": "Macro"},
        "rows": {name: {"title": name.upper(), "values": values} for name, values in rows.items()},
    }


def _claims(check: dict, rows: dict[str, list[float]] | None = None, claims=()) -> Claims:
    tables = {"results": _table(rows)} if rows else {}
    check = {"id": "check", "claim": "It holds.", "place": "card", **check}
    content = {"places": PLACES, "tables": tables, "claims": claims, "checks": [check]}
    return Claims.model_validate(content)


MEAN = {
    "kind": "mean",
    "each_row_of": "results",
    "of": ["results.{row}.a", "results.{row}.b"],
    "equals": "results.{row}.macro",
}


def _disagreeing(claims: Claims) -> list[str]:
    return [f.id for f in check_published(claims) if f.verdict == "disagrees"]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 9900), st.integers(0, 9900)), min_size=2, max_size=5, unique=True
    ),
    st.data(),
)
def test_exactly_the_tampered_row_is_found(pairs, data):
    rows = {f"r{i}": [a / 100, b / 100, round((a + b) / 200, 2)] for i, (a, b) in enumerate(pairs)}
    assert _disagreeing(_claims(MEAN, rows)) == []
    victim = data.draw(st.sampled_from(sorted(rows)))
    rows[victim][2] = round(rows[victim][2] + data.draw(st.sampled_from([-0.5, 0.03, 4.0])), 2)
    assert _disagreeing(_claims(MEAN, rows)) == [f"check.{victim}"]


def test_published_headline_has_one_wrong_average_and_the_tampered_one_beside_it():
    content = yaml.safe_load(CLAIMS.read_text())
    before = _wrong_means(Claims.model_validate(content))
    assert len(before) == 1
    right = next(row for row in content["tables"]["headline"]["rows"] if row not in before)
    content["tables"]["headline"]["rows"][right]["values"][-1] += 0.4
    assert _wrong_means(Claims.model_validate(content)) == before | {right}


def _wrong_means(claims: Claims) -> set[str | None]:
    check = next(check for check in claims.checks if isinstance(check, MeanCheck))
    return {row for row, mean in recompute_means(claims, check).items() if not mean.agrees}


def test_both_roundings_are_tried():
    half_up = _claims(MEAN, {"r": [0.10, 0.11, 0.11]})
    half_even = _claims(MEAN, {"r": [0.10, 0.11, 0.10]})
    assert _disagreeing(half_up) == _disagreeing(half_even) == []
    assert "only half-up gives it" not in check_published(half_even)[0].evidence
    assert "only half-up gives it" in check_published(half_up)[0].evidence
    assert "only half-even gives it" in check_published(half_even)[0].evidence


@pytest.mark.parametrize(("value", "verdict"), [(36.33, "agrees"), (36.40, "disagrees")])
def test_multiples(value: float, verdict: str):
    claim = {"id": "x.swe", "title": "t", "place": "card", "value": value, "unit": "percent"}
    claims = _claims(
        {"kind": "multiple", "of": ["x.swe"], "parts": 300}, claims=[{**claim, "decimals": 2}]
    )
    assert check_published(claims)[0].verdict == verdict


def _number(name: str, value: float | None, **more) -> dict:
    return {"id": name, "title": name, "place": "card", "value": value, "unit": "x", **more}


def test_sums_are_divided_and_the_remainder_named():
    numbers = [_number("c.1.size", 31), _number("c.2.size", 12)]
    claims = _claims({"kind": "divisible", "of": ["c.*.size"], "by": 15}, claims=numbers)
    finding = check_published(claims)[0]
    assert finding.verdict == "disagrees" and "43 = 15 × 3 − 2" in finding.evidence


@pytest.mark.parametrize(
    ("relation", "times", "verdict"),
    [("equal", 1, "disagrees"), ("equal", 2, "agrees"), ("at_most", 2, "agrees")],
)
def test_sums_are_compared(relation: str, times: int, verdict: str):
    numbers = [_number("n.a", 4), _number("n.b", 6), _number("n.c", 5)]
    check = {"kind": "compare", "left": ["n.a", "n.b"], "right": ["n.c"]}
    claims = _claims({**check, "relation": relation, "times": times}, claims=numbers)
    assert check_published(claims)[0].verdict == verdict


def test_words_are_judged_as_printed_and_say_what_recomputing_changes():
    content = _claims(MEAN, {"ours": [60, 62, 61], "theirs": [50, 52, 62]}).model_dump()
    content["checks"].append(
        {
            "kind": "ranking",
            "id": "better",
            "claim": "{subject} is better.",
            "place": "card",
            "subjects": ["results.ours.macro"],
            "relation": "above",
            "rivals": ["results.theirs.macro"],
        }
    )
    finding = check_published(Claims.model_validate(content))[-1]
    assert (finding.id, finding.kind) == ("better.ours", "words against the table")
    assert finding.verdict == "disagrees"
    assert finding.evidence.endswith("recomputed: holds for all")


def test_repeated_names_are_found_whatever_their_case():
    check = {"kind": "distinct_names", "table": "results"}
    content = _claims(check, {"x": [1, 1, 1], "y": [2, 2, 2]}).model_dump()
    assert check_published(Claims.model_validate(content))[0].verdict == "agrees"
    content["tables"]["results"]["rows"]["y"]["title"] = "x"
    finding = check_published(Claims.model_validate(content))[0]
    assert finding.verdict == "disagrees" and "X (x, y)" in finding.evidence


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c["claims"][0].update(valu=3), "claims.0.valu"),
        (lambda c: c["tables"]["headline"]["rows"]["raw"]["values"].pop(), "row 'raw'"),
        (lambda c: c["claims"][0].update(place="moon"), "place 'moon'"),
        (lambda c: c["checks"][0].update(equals="headline.{row}.total"), "headline.{row}.total"),
        (lambda c: c["checks"][0].update(kind="guess"), "guess"),
    ],
)
def test_mistakes_in_the_file_name_file_and_key(tmp_path: Path, change, words: str):
    content = yaml.safe_load(CLAIMS.read_text())
    change(content)
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(UserError) as error:
        load_claims(path)
    assert str(path) in str(error.value) and words in str(error.value)


def test_missing_and_broken_files_are_user_errors(tmp_path: Path):
    with pytest.raises(UserError, match="no such file"):
        load_claims(tmp_path / "absent.yaml")
    (tmp_path / "broken.yaml").write_text("a: [")
    with pytest.raises(UserError, match="not valid YAML"):
        load_claims(tmp_path / "broken.yaml")


def test_every_measure_in_the_shipped_file_is_known():
    claims = load_claims(CLAIMS)
    asked = {claim.measure for claim in claims.by_id.values() if claim.measure}
    assert asked <= {*MEASURES, PER_METHOD}


def test_numbers_in_the_file_are_exact():
    headline = load_claims(CLAIMS).by_id["headline.mira_global.sql"]
    assert headline.value == Decimal("94.26")


def _verdicts(claims: Claims, evidence: Evidence) -> dict[str, str]:
    return {f.id: f.verdict for f in check_against_published(claims, evidence)}


def test_run_against_published():
    numbers = [
        _number("p.groups", 2, measure="groups"),
        _number("p.kept", None, measure="kept_share", decimals=2),
        _number("p.slots", 15, measure="slots"),
    ]
    claims = _claims(
        {"kind": "compare", "left": ["p.groups"], "relation": "equal", "right": ["p.groups"]},
        claims=numbers,
    )
    groups = pd.DataFrame({"source": ["a", "b", "c"], "group": ["g1", "g2", "g3"]})
    cells = pd.DataFrame({"keep": [True, True, False]})
    demo = Evidence(comparable=False, groups=groups, cells=cells)
    assert _verdicts(claims, demo) == {
        "run.p.groups": "not comparable",
        "run.p.kept": "not published",
        "run.p.slots": "not run",
    }
    paper = Evidence(comparable=True, groups=groups)
    assert _verdicts(claims, paper)["run.p.groups"] == "disagrees"
    found = {f.id: f.found for f in check_against_published(claims, demo)}
    assert found["run.p.groups"] == "3 x" and found["run.p.kept"] == "0.67 x"


def test_downstream_rows_are_held_against_their_own_method():
    claims = load_claims(CLAIMS)
    evidence = Evidence(comparable=True, downstream={"raw": 63.83, "dsir": 70.0})
    verdicts = _verdicts(claims, evidence)
    assert verdicts["run.headline.raw.macro"] == "agrees"
    assert verdicts["run.headline.dsir.macro"] == "disagrees"
    assert verdicts["run.headline.ppl.macro"] == "not run"


def test_unknown_measure_is_a_user_error():
    claims = _claims(
        {"kind": "compare", "left": ["p.x"], "relation": "equal", "right": ["p.x"]},
        claims=[_number("p.x", 1, measure="weather")],
    )
    with pytest.raises(UserError, match="weather"):
        check_against_published(claims, Evidence())


def _corpus(n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "id": [f"r{i}" for i in range(n)],
            "source": [f"s{i % 4}" for i in range(n)],
            "group": [f"g{i % 2}" for i in range(n)],
            "n_tokens": rng.integers(5, 80, n),
            "score": np.where(rng.random(n) < 0.1, np.nan, rng.integers(3, 8, n)),
        }
    )


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A small run whose files agree with each other."""
    corpus = _corpus()
    write_parquet(corpus[["source", "id", "n_tokens"]], tmp_path / "sampling/corpus/s.parquet")
    write_parquet(pd.DataFrame({"source": ["s0"]}), tmp_path / "sampling/rejected.parquet")
    write_json({"counts": {"input": 61}}, tmp_path / "sampling/manifest.json")
    sampled = corpus[["source", "id"]].head(9)
    write_parquet(sampled, tmp_path / "sampling/labelling/s.parquet")
    labels = sampled.head(8).assign(split="train")
    write_parquet(labels, tmp_path / "labelling/g0.parquet")
    write_parquet(sampled.tail(1), tmp_path / "labelling/rejected.parquet")
    write_jsonl([{"id": 1}, {"id": 2}, {"id": 3}], tmp_path / "discovery/g0.jsonl")
    anchors = [
        {"slot": "A1", "cluster_size": 2, "references": [1]},
        {"slot": "A2", "cluster_size": 1, "references": []},
    ]
    write_jsonl(anchors, tmp_path / "anchoring/g0.jsonl")
    budget = int(corpus["n_tokens"].sum()) // 2
    for method, per in (("mira_global", None), ("mira_group", "group"), ("mira_source", "source")):
        mask, certificate = select(corpus, budget, per, seed=7)
        write_parquet(selection_table(corpus, mask), tmp_path / f"selection/{method}.parquet")
        write_json(certificate, tmp_path / f"selection/{method}.json")
    return tmp_path


def _self(run: Path) -> dict[str, str]:
    return {f.id: f.verdict for f in check_itself(gather_evidence(run, comparable=False))}


def test_a_sound_run_agrees_with_itself(run: Path):
    verdicts = _self(run)
    assert set(verdicts.values()) == {"agrees"}
    assert len(verdicts) == 3 + 3 * 6


@pytest.mark.parametrize("method", ["mira_global", "mira_group", "mira_source"])
def test_a_swapped_selection_is_caught(run: Path, method: str):
    path = run / f"selection/{method}.parquet"
    frame = pd.read_parquet(path)
    kept, dropped = frame.index[frame["selected"]][0], frame.index[~frame["selected"]][0]
    frame.loc[[kept, dropped], "selected"] = [False, True]
    write_parquet(frame, path)
    wrong = {name for name, verdict in _self(run).items() if verdict == "disagrees"}
    assert {f"selection.{method}.checksum", f"selection.{method}.rule"} <= wrong
    assert all(name.startswith(f"selection.{method}.") for name in wrong)


def test_a_selection_over_budget_is_caught(run: Path):
    path = run / "selection/mira_group.json"
    certificate = read_json(path)
    write_json({**certificate, "budget_tokens": certificate["selected_tokens"] - 1}, path)
    wrong = [name for name, verdict in _self(run).items() if verdict == "disagrees"]
    assert wrong == ["selection.mira_group.budget"]


@pytest.mark.parametrize(
    ("path", "finding"),
    [
        ("labelling/rejected.parquet", "labelling.rows"),
        ("sampling/rejected.parquet", "sampling.rows"),
    ],
)
def test_a_lost_record_is_caught(run: Path, path: str, finding: str):
    write_parquet(pd.read_parquet(run / path).head(0), run / path)
    wrong = [name for name, verdict in _self(run).items() if verdict == "disagrees"]
    assert wrong == [finding]


def test_the_certificates_rule_rebuilds_a_selection_with_ties():
    corpus = _corpus(200).assign(score=5.0)
    mask, certificate = select(corpus, int(corpus["n_tokens"].sum()) // 3, "source", seed=1)
    assert 0 < mask.sum() < 200
    assert (selected_by_rule(corpus, certificate).to_numpy() == mask).all()


def test_an_empty_run_is_not_run(tmp_path: Path):
    assert set(_self(tmp_path).values()) == {"not run"}


def test_written_audit_is_deterministic_and_complete(run: Path, tmp_path: Path):
    findings = run_audit(load_claims(CLAIMS), gather_evidence(run, comparable=False))
    assert len({finding.id for finding in findings}) == len(findings)
    for name in ("one", "two"):
        write_audit(findings, tmp_path / name, stand_in="Stand-in run.")
    for name in ("audit.json", "audit.md"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    written = read_json(tmp_path / "one/audit.json")
    assert written["counts"] == count_verdicts(findings)
    assert set(written["findings"][0]) == {
        "id",
        "kind",
        "claim",
        "expected",
        "found",
        "verdict",
        "evidence",
        "place",
    }
    page = (tmp_path / "one/audit.md").read_text()
    assert "Stand-in run." in page
    assert page.count("**disagrees**") == written["counts"]["disagrees"]
    assert page.index("## What disagrees") < page.index("## Published against published")
