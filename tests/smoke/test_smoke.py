"""The whole workflow on a tiny corpus: every file stands, and they agree with one another."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from killed_runs import journal_keys
from smoke_run import CONFIG, READERS, SETTINGS, expand, promised_files, unpacked_rows
from workflow_runs import snakemake

from mira.io import sha256
from mira.selection import ids_checksum

pytestmark = pytest.mark.smoke


def corpus(results: Path) -> pd.DataFrame:
    return pd.concat(map(pd.read_parquet, sorted((results / "sampling/corpus").iterdir())))


def test_every_promised_file_has_its_columns(results: Path) -> None:
    for path, columns in promised_files().items():
        content = READERS[Path(path).suffix](results / path)
        assert columns <= set(content if columns else ()), f"{path}: {columns} expected"


def test_every_file_is_whole_and_of_a_known_kind(results: Path) -> None:
    for path in sorted(results.rglob("*")):
        if path.is_file() and path.name != ".snakemake_timestamp":
            assert not path.name.endswith(".tmp"), f"{path} was left behind"
            READERS[path.suffix](path)


def test_nothing_is_left_to_resume(results: Path) -> None:
    assert not [path for path in results.rglob("resume/**/*") if path.is_file()]


def test_input_is_kept_or_rejected(results: Path) -> None:
    kept = corpus(results)["source"].value_counts()
    rejected = pd.read_parquet(results / "sampling/rejected.parquet")["source"].value_counts()
    for source in SETTINGS.sources:
        raw = (results / "sampling/raw" / f"{source}.jsonl").read_text(encoding="utf-8")
        assert kept.get(source, 0) + rejected.get(source, 0) == len(raw.splitlines()), source
    counts = json.loads((results / "sampling/manifest.json").read_text())["counts"]
    assert counts["input"] == counts["kept"] + counts["rejected"]


def test_spoil_marks_are_in_no_other_file(results: Path) -> None:
    spoiled = pd.read_parquet(results / "sampling/hidden/spoiled.parquet")
    share = spoiled["spoiled"].mean()
    assert share == pytest.approx(0.3, abs=0.02)
    assert not corpus(results)["meta"].fillna("").str.contains("spoil").any()


def test_sampled_is_labelled_or_rejected(results: Path) -> None:
    groups = pd.read_csv(results / "clustering/groups.csv").set_index("source")["group"]
    sampled = pd.concat(map(pd.read_parquet, (results / "sampling/labelling").iterdir()))
    rejected = pd.read_parquet(results / "labelling/rejected.parquet")
    seen: list[str] = list(rejected["id"])
    for group in sorted(set(groups)):
        labels = pd.read_parquet(results / f"labelling/{group}.parquet")
        assert set(labels["source"]) <= set(groups[groups == group].index)
        assert set(labels["split"]) == {"train", "validation"}
        seen += list(labels["id"])
    assert sorted(seen) == sorted(sampled["id"])


def test_every_record_is_scored_once(results: Path) -> None:
    scores = pd.read_parquet(results / "scoring/scores.parquet")
    assert sorted(scores["id"]) == sorted(corpus(results)["id"])
    means = scores[[f"s{i}_mean" for i in range(1, 16)]].to_numpy()
    assert ((means >= 0) & (means <= 10)).all()


def test_certificates_hold(results: Path) -> None:
    tokens = corpus(results).set_index("id")["n_tokens"]
    for method in SETTINGS.selection.methods:
        table = pd.read_parquet(results / f"selection/{method}.parquet")
        certificate = json.loads((results / f"selection/{method}.json").read_text())
        chosen = table[table["selected"]]
        spent = int(tokens[chosen["id"]].sum())
        assert sorted(table["id"]) == sorted(tokens.index)
        assert spent == certificate["selected_tokens"] <= certificate["budget_tokens"]
        assert ids_checksum(chosen["id"]) == certificate["checksum"]
        if method != "raw":
            assert certificate["budget_tokens"] == int(tokens.sum()) // 2
            assert spent > 0.8 * certificate["budget_tokens"]


def test_exported_text_is_that_of_the_selected_records(results: Path) -> None:
    texts = corpus(results).set_index("id")
    for method in SETTINGS.selection.methods:
        table = pd.read_parquet(results / f"selection/{method}.parquet")
        for source in SETTINGS.sources:
            chosen = table.loc[table["selected"] & (table["source"] == source), "id"]
            rows = unpacked_rows(results / f"selection/{method}/{source}.jsonl.zst")
            assert sorted(row["id"] for row in rows) == sorted(chosen)
            for row in rows:
                if "text" in row:
                    assert row["text"] == texts.at[row["id"], "text"]
                else:
                    assert row["messages"] == json.loads(texts.at[row["id"], "messages"])


def test_report_needs_nothing_from_outside(results: Path) -> None:
    page = (results / "report.html").read_text(encoding="utf-8")
    markup = re.sub(r"<pre.*?</pre>", "", page, flags=re.DOTALL)
    linked = re.findall(r"""\s(?:src|href|srcset|action)\s*=\s*["']?([^"'\s>]*)""", markup)
    assert linked
    assert [link for link in linked if not link.startswith(("data:", "#"))] == []
    assert not re.search(r"@import|url\(\s*[\"']?(?!data:|#)", markup)


def test_stand_ins_are_named_where_results_are_read(results: Path) -> None:
    notice = SETTINGS.stand_in()
    assert notice
    pages = [*results.glob("tables/*.md"), results / "audit/audit.md", results / "report.html"]
    assert len(pages) > 3
    for page in pages:
        assert notice.split(":")[0] in page.read_text(encoding="utf-8"), page.name


def test_student_loads_with_transformers(results: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    for folder in results.glob("distillation/g*/model"):
        model = AutoModelForCausalLM.from_pretrained(folder)
        tokens = AutoTokenizer.from_pretrained(folder)("[A1]", return_tensors="pt")
        assert model(**tokens).logits.shape[-1] == model.config.vocab_size


def test_second_run_has_nothing_to_do(directory: Path, results: Path) -> None:
    status, seen = snakemake(directory, CONFIG)
    assert status == 0
    assert "Nothing to be done" in seen


def test_selection_made_again_is_the_same(directory: Path, results: Path) -> None:
    folder = results / "selection"
    before = {
        path.relative_to(folder): sha256(path)
        for path in folder.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }
    shutil.rmtree(folder)
    targets = expand("results/smoke/selection/{method}/manifest.json")
    status, seen = snakemake(directory, CONFIG, *targets)
    assert status == 0, seen
    assert {path: sha256(folder / path) for path in before} == before


def test_selections_are_the_same_to_the_byte(results: Path, interrupted: Path) -> None:
    for method in SETTINGS.selection.methods:
        for name in (f"selection/{method}.parquet", f"selection/{method}.json"):
            assert (interrupted / name).read_bytes() == (results / name).read_bytes(), name


def test_no_reply_is_stored_twice(results: Path, interrupted: Path) -> None:
    keys = journal_keys(interrupted)
    assert len(keys) == len(set(keys))
    assert set(keys) == set(journal_keys(results))


def test_bill_tells_paid_calls_from_those_of_the_journal(results: Path, interrupted: Path) -> None:
    quiet = json.loads((results / "labelling/cost.json").read_text())
    bill = json.loads((interrupted / "labelling/cost.json").read_text())
    from_journal = 0
    for stage in ("discovery", "labelling"):
        for group, cost in bill[stage].items():
            assert cost["calls"] == quiet[stage][group]["calls"]
            assert cost["calls"] == cost["paid_calls"] + cost["journal_calls"]
            from_journal += cost["journal_calls"]
    assert from_journal >= 5
