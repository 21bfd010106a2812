"""One student, one prompt, one readout: the same scores whatever engine runs them.

Real vLLM, offline and served on loopback; only where a chat endpoint cannot be asked does it
answer differently, and there it says so.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_students import MAX_NEW_TOKENS, SLOTS, WORDS, as_prompt, make_text, train_student
from vllm_server import PYTHON, ROOT, environment, needs_vllm, serving_vllm

from mira.config import Scoring
from mira.config.students import Served
from mira.distillation.model import load_model, load_tokenizer
from mira.scoring.engine import Counters, Decoding, Prompt, Skeleton
from mira.scoring.engines.openai import OpenaiEngine
from mira.scoring.engines.prefix_cache import check_prefix_cache, shared_prefix
from mira.scoring.engines.served_vllm import ServedVllmEngine
from mira.scoring.engines.transformers import TransformersEngine
from mira.scoring.expected import NEGLIGIBLE_ONE
from mira.scoring.skeletons import build_skeleton

pytestmark = pytest.mark.slow

TOLERANCE = 0.001
"""Largest difference of an expected score (0 to 10) between engines in float32."""

MAX_MODEL_LEN = 1024
KINDS = ("split", "whole")
LONG = 4


class Case:
    """A student, prompts for it (the last few share a long beginning), and what is right."""

    def __init__(self, folder: Path, kind: str):
        self.model = train_student(folder / kind, ten_is_one_token=kind == "whole")
        self.tokenizer = load_tokenizer(str(self.model))
        self.skeleton: Skeleton = build_skeleton([{"slot": s} for s in SLOTS], self.tokenizer)
        rng = np.random.default_rng(5)
        texts = [make_text(rng) for _ in range(12)]
        texts += [" ".join(WORDS * 40) + " " + make_text(rng) for _ in range(LONG)]
        self.prompts: list[Prompt] = [as_prompt(text, self.tokenizer) for text in texts]
        engine = TransformersEngine(load_model(str(self.model), "float32"), self.tokenizer)
        self.expected = engine.expected(self.prompts, self.skeleton)
        self.greedy = engine.write(self.prompts, Decoding(MAX_NEW_TOKENS))

    def job(self) -> dict[str, Any]:
        return {
            "model": str(self.model),
            "slots": SLOTS,
            "prompts": [prompt.ids for prompt in self.prompts] + [[5] * MAX_MODEL_LEN],
            "max_model_len": MAX_MODEL_LEN,
            "max_new_tokens": MAX_NEW_TOKENS,
        }


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    needs_vllm()
    folder = tmp_path_factory.mktemp("students")
    return {kind: Case(folder, kind) for kind in KINDS}


@pytest.fixture(scope="module")
def offline(cases: dict[str, Case], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What vLLM's offline engine says of each student, from a process in its environment."""
    folder = tmp_path_factory.mktemp("offline")
    (folder / "questions.json").write_text(json.dumps([cases[kind].job() for kind in KINDS]))
    script = ROOT / "tests" / "vllm_offline.py"
    ended = subprocess.run(
        [PYTHON, script, folder / "questions.json", folder / "answers.json"],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return dict(zip(KINDS, json.loads((folder / "answers.json").read_text()), strict=True))


def differences(found: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Of the expected scores, (records, slots); 0 where both are missing."""
    difference = np.abs((found - right) @ np.arange(11))
    difference[np.isnan(found).all(-1) & np.isnan(right).all(-1)] = 0
    return difference


@pytest.mark.parametrize("kind", KINDS)
def test_the_students_put_the_readout_to_the_test(cases: dict[str, Case], kind: str):
    case = cases[kind]
    assert case.skeleton.tokens.ten_is_split == (kind == "split")
    short = case.expected[:-LONG]
    assert not np.isnan(short).any()
    assert short[..., 10].max() > 0.1 and short[..., 1].max() > 0.1
    assert len({tuple(row) for row in short.argmax(-1)}) > 5
    assert sum(reply.count("\n") == len(SLOTS) for reply in case.greedy if reply) >= 8


@pytest.mark.parametrize("kind", KINDS)
def test_vllm_offline_gives_the_scores_of_transformers(
    cases: dict[str, Case], offline: dict[str, Any], kind: str
):
    case, found = cases[kind], offline[kind]
    expected = np.array(found["expected"], dtype=float)
    assert np.allclose(np.nansum(expected[:8], axis=-1), 1)
    largest = differences(expected[:-1], case.expected).max()
    print(f"{kind}: largest difference of an expected score {largest:.2g}")
    assert largest < TOLERANCE
    assert found["greedy"][:-1] == case.greedy


@pytest.mark.parametrize("kind", KINDS)
def test_a_prompt_beyond_the_context_is_missing(offline: dict[str, Any], kind: str):
    assert np.isnan(np.array(offline[kind]["expected"][-1], dtype=float)).all()
    assert offline[kind]["greedy"][-1] is None and offline[kind]["sample"][-1] is None


@pytest.mark.parametrize("kind", KINDS)
def test_vllms_samples_depend_on_their_seeds_alone(offline: dict[str, Any], kind: str):
    found = offline[kind]
    assert found["sample"] == found["sample_again"]
    assert found["sample"] != found["greedy"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_prefix_cache_is_seen_to_work(
    cases: dict[str, Case], offline: dict[str, Any], kind: str
):
    counters, block = offline[kind]["counters"], offline[kind]["block_tokens"]
    shared = shared_prefix(cases[kind].prompts[-LONG:])
    assert shared > 2 * block
    assert counters["cached_tokens"] > 0
    assert check_prefix_cache(Counters(**counters), shared, LONG, block_tokens=block) is None


def test_served_students_give_the_scores_of_transformers(
    cases: dict[str, Case],
    offline: dict[str, Any],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
):
    case = cases["split"]
    with serving_vllm(case.model, "tiny", MAX_MODEL_LEN, tmp_path / "server.log") as url:
        scoring = Scoring(engine="openai", served={"g1": Served(url=url, model="tiny")})
        _check_served_vllm(case, offline["split"], scoring)
        _check_chat(case, scoring, caplog)


def _check_served_vllm(case: Case, offline: dict[str, Any], scoring: Scoring) -> None:
    engine = ServedVllmEngine(scoring.served["g1"], scoring)
    largest = differences(engine.expected(case.prompts, case.skeleton), case.expected).max()
    print(f"served: largest difference of an expected score {largest:.2g}")
    assert largest < TOLERANCE
    assert (engine.counters().cached_tokens or 0) > 0
    too_long = Prompt((5,) * MAX_MODEL_LEN, ())
    replies = engine.write([*case.prompts, too_long], Decoding(MAX_NEW_TOKENS))
    assert replies == [*case.greedy, None]
    seeds = tuple(range(len(case.prompts)))
    samples = engine.write(case.prompts, Decoding(MAX_NEW_TOKENS, 0.7, 0.95, seeds))
    assert samples == offline["sample"][:-1]
    assert engine.version.startswith("0.32.0")
    engine.close()


def _check_chat(case: Case, scoring: Scoring, caplog: pytest.LogCaptureFixture) -> None:
    """A chat endpoint agrees wherever it can be asked: no likely "1" that was not written."""
    engine = OpenaiEngine(scoring.served["g1"], scoring, case.tokenizer)
    found = engine.expected(case.prompts, case.skeleton)
    told = ~np.isnan(found).any(-1)
    assert told[:8].all(), "these records follow the skeleton"
    right = np.nan_to_num(case.expected)
    one = right[..., 1] + right[..., 10]
    others = np.delete(right, [1, 10], axis=-1).max(-1)
    undivided = told & (one >= NEGLIGIBLE_ONE) & (one < others)
    assert engine.undivided == undivided.sum() > 0
    assert "could not be told apart" in caplog.text
    exact = differences(found, case.expected)[told & ~undivided]
    print(f"chat: {len(exact)} slots, largest difference {exact.max():.2g}")
    assert len(exact) > 8 and exact.max() < 0.005 + TOLERANCE
    assert engine.write(case.prompts, Decoding(MAX_NEW_TOKENS)) == case.greedy
    assert "chat template" not in caplog.text
    engine.close()
