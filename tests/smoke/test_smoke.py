"""The whole workflow on a tiny corpus: every file stands, and they agree with one another."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import zstandard
from workflow_runs import ROOT, TRACEBACK, snakemake

from mira.config import Config, load_config
from mira.io import sha256
from mira.selection import ids_checksum

CONFIG = ROOT / "tests" / "smoke" / "config.yaml"
SLOTS = [f"s{i}" for i in range(1, 16)]
CORPUS = "id source family text messages n_chars n_tokens meta".split()
SAMPLE = "id source family text n_tokens".split()
CELLS = (
    "source group slot name n teacher_mean student_mean bias mae mae_constant spearman "
    "spearman_low spearman_high small keep weight reason"
).split()
SCORED = [f"{slot}_{value}" for slot in SLOTS for value in ("mean", "sd", "mode")]
COLUMNS: dict[str, list[str]] = {
    "sampling/corpus/{source}.parquet": CORPUS,
    "sampling/rejected.parquet": "source file line id reason detail".split(),
    "sampling/hidden/spoiled.parquet": "id source family spoiled kind".split(),
    "sampling/discovery/{source}.parquet": SAMPLE,
    "sampling/labelling/{source}.parquet": [*SAMPLE, "split"],
    "clustering/groups.csv": "source family group similarity n_sampled".split(),
    "clustering/similarity.csv": "source_a source_b similarity".split(),
    "discovery/{group}.jsonl": "id source dimension score reason prompt_hash".split(),
    "anchoring/{group}.jsonl": (
        "slot name definition cluster_size n_records medoid_id medoid_source medoid_score "
        "medoid_reason references stability names"
    ).split(),
    "labelling/{group}.parquet": [
        *("id source split overall recommendation domain_tag brief raw parse prompt_hash").split(),
        *("prompt_tokens completion_tokens cost").split(),
        *SLOTS,
        *(f"r{i}" for i in range(1, 16)),
    ],
    "labelling/rejected.parquet": "id source group reason detail".split(),
    "labelling/cost.json": ["discovery", "labelling"],
    "distillation/{group}/trainer_state.json": ["log_history", "global_step"],
    "distillation/{group}/model/config.json": ["model_type", "vocab_size"],
    "validation/cells.csv": CELLS,
    "validation/ridge.csv": CELLS,
    "validation/readouts.csv": "group source slot readout n mae spearman".split(),
    "validation/summary.json": ["groups"],
    "scoring/scores.parquet": [
        *"id source group n_tokens engine readout prompt_hash model_hash".split(),
        *SCORED,
    ],
    "selection/{method}.parquet": "id source group n_tokens score selected reason".split(),
    "selection/{method}.json": "budget_tokens selected_tokens checksum buckets seed rule".split(),
    "downstream/separation.csv": (
        "method source family n_intact n_spoiled auroc auroc_low auroc_high precision "
        "precision_low precision_high base_rate"
    ).split(),
    "{stage}/manifest.json": (
        "stage inputs settings seed counts seconds code_version packages"
    ).split(),
    "selection/{method}/manifest.json": ["stage", "inputs", "counts"],
    "figures/{figure}.csv": [],
    "tables/{table}.csv": [],
    "audit/audit.json": [],
}
OTHERS = [
    "selection/{method}/{source}.jsonl.zst",
    "distillation/{group}/model/model.safetensors",
    "figures/{figure}.pdf",
    "figures/{figure}.png",
    "tables/{table}.md",
    "tables/{table}.tex",
    "audit/audit.md",
    "report.html",
]

pytestmark = pytest.mark.smoke


@pytest.fixture(scope="session")
def settings() -> Config:
    return load_config(CONFIG)


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the one quiet run lies."""
    directory = tmp_path_factory.mktemp("smoke")
    status, seen = snakemake(directory, CONFIG, "--show-failed-logs")
    assert status == 0, seen
    assert TRACEBACK not in seen
    return directory


@pytest.fixture(scope="session")
def results(directory: Path) -> Path:
    return directory / "results" / "smoke"


def names(settings: Config) -> dict[str, list[str]]:
    """Values of the wildcards in this module's paths."""
    return {
        "source": sorted(settings.sources),
        "group": settings.group_names(),
        "method": list(settings.selection.methods),
        "stage": (
            "sampling clustering discovery anchoring labelling distillation validation scoring"
        ).split(),
        "figure": (
            "source_similarity reliability_mask agreement score_length loss_curves retention "
            "separation"
        ).split(),
        "table": "headline groups anchors trust retention separation".split(),
    }


def expand(pattern: str, settings: Config) -> list[str]:
    paths = [pattern]
    for wildcard, values in names(settings).items():
        paths = [p.replace(f"{{{wildcard}}}", v) for p in paths for v in values]
    return sorted(set(paths))


def unpacked(path: Path) -> str:
    with path.open("rb") as handle:
        return zstandard.ZstdDecompressor().stream_reader(handle).read().decode("utf-8")


def json_rows(text: str) -> pd.DataFrame:
    return pd.DataFrame([json.loads(line) for line in text.splitlines()])


def starting_with(mark: bytes) -> Callable[[Path], None]:
    def check(path: Path) -> None:
        assert path.read_bytes().startswith(mark), path

    return check


READERS: dict[str, Callable] = {
    ".parquet": pd.read_parquet,
    ".csv": pd.read_csv,
    ".json": lambda path: json.loads(path.read_text(encoding="utf-8")),
    ".jsonl": lambda path: json_rows(path.read_text(encoding="utf-8")),
    ".zst": lambda path: json_rows(unpacked(path)),
    ".pdf": starting_with(b"%PDF-"),
    ".png": starting_with(b"\x89PNG\r\n"),
    ".html": starting_with(b"<!doctype html>"),
    **dict.fromkeys((".md", ".tex", ".jinja"), lambda path: path.read_text(encoding="utf-8")),
}


def test_every_promised_file_has_its_columns(results: Path, settings: Config) -> None:
    for pattern, columns in COLUMNS.items():
        for path in expand(pattern, settings):
            content = READERS[Path(path).suffix](results / path)
            assert set(columns) <= set(content), f"{path}: {set(columns) - set(content)} missing"
    for pattern in OTHERS:
        for path in expand(pattern, settings):
            assert (results / path).stat().st_size, path


def test_every_file_is_whole_and_of_a_known_kind(results: Path) -> None:
    for path in sorted(results.rglob("*")):
        if path.is_file() and path.name != ".snakemake_timestamp":
            assert not path.name.endswith(".tmp"), f"{path} was left behind"
            if path.suffix != ".safetensors":
                READERS[path.suffix](path)


def test_nothing_is_left_to_resume(results: Path) -> None:
    assert not [path for path in results.rglob("resume/**/*") if path.is_file()]


def corpus(results: Path) -> pd.DataFrame:
    return pd.concat(map(pd.read_parquet, sorted((results / "sampling/corpus").iterdir())))


def test_input_is_kept_or_rejected(results: Path, settings: Config) -> None:
    kept = corpus(results)["source"].value_counts()
    rejected = pd.read_parquet(results / "sampling/rejected.parquet")["source"].value_counts()
    for source in settings.sources:
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
    means = scores[[f"{slot}_mean" for slot in SLOTS]]
    assert means.notna().all(axis=None) and means.min(axis=None) >= 0 and means.max(axis=None) <= 10


def test_certificates_hold(results: Path, settings: Config) -> None:
    tokens = corpus(results).set_index("id")["n_tokens"]
    for method in settings.selection.methods:
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


def test_exported_text_is_that_of_the_selected_records(results: Path, settings: Config) -> None:
    texts = corpus(results).set_index("id")
    for method in settings.selection.methods:
        table = pd.read_parquet(results / f"selection/{method}.parquet")
        for source in settings.sources:
            chosen = table.loc[table["selected"] & (table["source"] == source), "id"]
            rows = json_rows(unpacked(results / f"selection/{method}/{source}.jsonl.zst"))
            assert sorted(rows["id"] if len(rows) else []) == sorted(chosen)
            for row in rows.to_dict("records"):
                if isinstance(row.get("text"), str):
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


def test_stand_ins_are_named_where_results_are_read(results: Path, settings: Config) -> None:
    notice = settings.stand_in()
    assert notice
    pages = [*results.glob("tables/*.md"), results / "audit/audit.md", results / "report.html"]
    assert len(pages) > 3
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert notice in text or "tand-in" in text, page.name


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


def test_selection_made_again_is_the_same(directory: Path, results: Path, settings: Config) -> None:
    folder = results / "selection"
    before = {
        path.relative_to(folder): sha256(path)
        for path in folder.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }
    shutil.rmtree(folder)
    targets = expand("results/smoke/selection/{method}/manifest.json", settings)
    status, seen = snakemake(directory, CONFIG, *targets)
    assert status == 0, seen
    assert {path: sha256(folder / path) for path in before} == before
