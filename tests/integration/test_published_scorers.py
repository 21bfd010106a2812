"""Published scorers end to end: fetched or local, taken by the rules, and scoring."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from small_students import texts
from stand_in_scorer import SCORES, make_released, make_taught
from workflow_runs import ROOT, TRACEBACK, environment

from mira.config import Config, parse_config
from mira.io import read_json, read_jsonl, write_jsonl
from mira.scorers.anchors import anchor_rows
from mira.scorers.choice import scorers_of_run
from mira.scorers.serving import with_serving_values
from mira.scorers.settings import load_scorers
from mira.scorers.take import take_scorer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
RECORDS = 12


def settings(folder: Path, **entry: Any) -> dict[str, Any]:
    """A run whose one group has the entry 'stand-in', with the card's anchors of Text-1."""
    card = yaml.safe_load((ROOT / "config" / "scorers.yaml").read_text(encoding="utf-8"))
    stand_in = {"family": "text", "anchors": card["scorers"]["Text-1"]["anchors"], **entry}
    file = folder / "scorers.yaml"
    file.write_text(yaml.safe_dump({"serving": card["serving"], "scorers": {"stand-in": stand_in}}))
    (folder / "pages.jsonl").write_text('{"id": "1", "text": "words"}\n')
    return {
        "run": "published",
        "sources": {"pages": {"family": "text", "path": str(folder / "pages.jsonl")}},
        "sampling": {"min_chars": 1, "tokenizer": {"vocab_size": 300}},
        "clustering": {"within": "family", "k": 1},
        "teacher": {"kind": "embedded"},
        "distillation": {
            "students": "published",
            "scorers": {"text-1": "stand-in"},
            "scorers_file": str(file),
            "max_record_tokens": 64,
        },
        "validation": {"mask": "none"},
        "scoring": {"engine": "transformers", "dtype": "float32", "max_new_tokens": 400},
    }


def workflow(folder: Path, config: dict[str, Any]) -> tuple[int, str]:
    """Run the whole workflow as a user does; status and what a user sees."""
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "--cores", "2"),
            *("--directory", str(folder), "--snakefile", str(ROOT / "Snakefile")),
            *("--configfile", str(folder / "config.yaml")),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**environment(), "PYTHONPATH": str(ROOT)},
        timeout=400,
        check=False,
    )
    return done.returncode, done.stdout


def score(run: Path, config: Config, count: int) -> np.ndarray:
    """Mean scores of made-up records, shape (count, 15), by the engine that the settings name."""
    from mira.scoring.engines import open_engine
    from mira.scoring.settings import readout_settings
    from mira.scoring.student import Student

    model = run / "distillation" / "text-1" / "model"
    prompt = config.distillation.model_dump(include={"prompt", "max_record_tokens"})
    engine, tokenizer = open_engine(str(model), config.scoring, "text-1")
    student = Student(
        engine,
        tokenizer,
        read_jsonl(run / "anchoring" / "text-1.jsonl"),
        readout_settings(config.scoring.model_dump(), prompt, seed=1),
        model_hash="0",
    )
    records = pd.DataFrame(
        {"id": [f"r{i}" for i in range(count)], "family": "text", "text": texts(count)}
    )
    table = student.score(records)
    engine.close()
    return table[[f"s{i}_mean" for i in range(1, 16)]].to_numpy(dtype=float)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_released(tmp_path_factory.mktemp("released"))


@pytest.mark.slow
def test_a_local_scorer_selects_a_corpus_without_a_teacher(tmp_path: Path):
    anchors = anchor_rows(load_scorers(ROOT / "config" / "scorers.yaml").scorers["Text-1"], 15)
    taught = make_taught(tmp_path, anchors)
    config = settings(tmp_path, path=str(taught))
    write_jsonl(
        ({"id": str(i), "text": text} for i, text in enumerate(texts(RECORDS))),
        tmp_path / "pages.jsonl",
    )
    status, seen = workflow(tmp_path, config)
    assert status == 0, seen
    run = tmp_path / "results" / "published"
    assert read_jsonl(run / "anchoring" / "text-1.jsonl") == anchors
    state = read_json(run / "distillation" / "text-1" / "trainer_state.json")
    assert state["global_step"] == 2 and state["scorer"]["name"] == "stand-in"
    log = (run.parents[1] / "logs/published/anchoring/build_anchors/text-1.log").read_text()
    assert "stand-in is not known to cover: pages" in log
    scores = pd.read_parquet(run / "scoring" / "scores.parquet")
    found = scores[[f"s{i}_mean" for i in range(1, 16)]].to_numpy()
    assert len(scores) == RECORDS and (found == np.array(SCORES)).mean() > 0.95
    cells = pd.read_csv(run / "validation" / "assumed.csv")
    assert len(cells) == 15 and cells["reason"].str.contains("not measured").all()
    selected = pd.read_parquet(run / "selection" / "mira_source.parquet")
    assert 0 < selected["selected"].sum() < RECORDS
    for stage in ("discovery", "labelling"):
        assert not (run / stage).exists(), "no teacher may be asked"


def test_a_scorer_that_writes_nonsense_gives_no_score(tmp_path: Path, released: Path):
    config = settings(tmp_path, path=str(released))
    config["scoring"]["max_new_tokens"] = 16
    checked = parse_config(with_serving_values(config))
    scorer = scorers_of_run(checked)["text-1"]
    write_jsonl(anchor_rows(scorer, 15), tmp_path / "anchoring" / "text-1.jsonl")
    distilled = tmp_path / "distillation" / "text-1"
    take_scorer(scorer, distilled / "model", distilled / "trainer_state.json")
    assert np.isnan(score(tmp_path, checked, 2)).all()


@pytest.mark.slow
def test_a_damaged_scorer_stops_the_run_in_words(tmp_path: Path, released: Path):
    broken = tmp_path / "broken"
    shutil.copytree(released, broken, ignore=shutil.ignore_patterns("*.safetensors"))
    status, seen = workflow(tmp_path, settings(tmp_path, path=str(broken)))
    assert status != 0
    assert "weight files are missing" in seen and TRACEBACK not in seen
    assert not (tmp_path / "results/published/distillation/text-1/model").exists()


def test_an_unpublished_slot_list_stops_before_any_work(tmp_path: Path):
    status, seen = workflow(tmp_path, settings(tmp_path, hub_id="some/scorer", anchors=None))
    assert status != 0
    assert "'stand-in': its list of slots is not published" in seen and TRACEBACK not in seen


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as a download needs: one model, ``lab/scorer``, at one commit."""

    folder: Path

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def log_message(self, *arguments: Any) -> None:
        pass

    def _answer(self, body: bool) -> None:
        path = self.path.split("?")[0]
        names = sorted(p.name for p in self.folder.iterdir() if p.is_file())
        if path.startswith("/api/models/lab/scorer/tree/"):
            rows = [
                {"type": "file", "path": name, "size": 0, "oid": f"{name:0<40}"[:40]}
                for name in names
            ]
            rows = [row | {"size": (self.folder / row["path"]).stat().st_size} for row in rows]
            self._send(json.dumps(rows).encode(), body)
        elif path.startswith("/api/models/lab/scorer"):
            siblings = [{"rfilename": name} for name in names]
            value = {"id": "lab/scorer", "sha": COMMIT, "siblings": siblings, "tags": []}
            self._send(json.dumps(value).encode(), body)
        elif path.startswith("/lab/scorer/resolve/") and path.rsplit("/", 1)[1] in names:
            name = path.rsplit("/", 1)[1]
            self._send((self.folder / name).read_bytes(), body, name)
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _send(self, content: bytes, body: bool, etag: str = "") -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Repo-Commit", COMMIT)
        if etag:
            self.send_header("ETag", f'"{etag}"')
        self.end_headers()
        if body:
            self.wfile.write(content)


@pytest.fixture
def hub(released: Path) -> Iterator[str]:
    handler = type("OneModel", (Hub,), {"folder": released})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


TAKE = """
import sys
from pathlib import Path
from mira.errors import UserError
from mira.scorers.settings import Scorer
from mira.scorers.take import take_scorer
try:
    take_scorer(Scorer(name="s", family="text", hub_id=sys.argv[1]), Path("model"), Path("s.json"))
except UserError as error:
    print("UserError:", error)
"""


def take_from(hub: str, hub_id: str, folder: Path) -> str:
    """Output of a process of its own: the hub's address is read once, at import."""
    own = {"HF_ENDPOINT": hub, "HF_HUB_OFFLINE": "0", "HF_HOME": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", TAKE, hub_id],
        cwd=folder,
        env={**environment(), **own, "PYTHONPATH": os.fspath(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_scorer_is_fetched_from_the_hub(tmp_path: Path, hub: str, released: Path):
    assert take_from(hub, "lab/scorer", tmp_path) == ""
    scorer = read_json(tmp_path / "s.json")["scorer"]
    assert (scorer["hub_id"], scorer["commit"]) == ("lab/scorer", COMMIT)
    for path in released.glob("*.safetensors"):
        assert (tmp_path / "model" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.slow
def test_a_scorer_that_the_hub_does_not_have(tmp_path: Path, hub: str):
    said = take_from(hub, "lab/nothing", tmp_path)
    assert said.startswith("UserError: Scorer 's': lab/nothing could not be fetched")
    assert not (tmp_path / "model").exists()
