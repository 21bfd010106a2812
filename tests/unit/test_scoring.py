"""Scoring: the readouts against slow references, shards, and resuming."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mira.config import Architecture
from mira.distillation.model import load_tokenizer, small_model
from mira.distillation.prompt import add_student_tokens
from mira.distillation.targets import score_prefix
from mira.errors import UserError
from mira.sampling.tokenizer import train_tokenizer
from mira.scoring.expected import expected_scores, summarise_scores
from mira.scoring.merge import merge_scores
from mira.scoring.settings import ReadoutSettings
from mira.scoring.shards import assign_shards, score_shard
from mira.scoring.student import Student, batches
from mira.scoring.tokens import encode, find_score_tokens

ANCHORS = [
    {"slot": f"A{i}", "name": f"Name {i}", "definition": "d", "references": []} for i in range(1, 6)
]
WORDS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta")


def texts(count: int) -> list[str]:
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS, rng.integers(5, 60))) + "." for _ in range(count)]


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("student")
    train_tokenizer(iter(texts(50)), 320, folder / "tokenizer")
    tokenizer = load_tokenizer(str(folder / "tokenizer"))
    add_student_tokens(tokenizer, len(ANCHORS))
    size = Architecture(hidden_size=32, layers=2, heads=2, kv_heads=1, intermediate_size=32)
    model = small_model(size, tokenizer, 0)
    with torch.no_grad():  # random logits are nearly flat; sharpen them so that modes differ
        for weight in model.parameters():
            weight.mul_(8 if weight.dim() == 2 else 1)
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    return folder / "model"


def settings(readout: str) -> ReadoutSettings:
    return ReadoutSettings(
        readout=readout,
        style="compact",
        max_record_tokens=64,
        temperature=0.7,
        top_p=0.95,
        max_new_tokens=24,
        batch_size=4,
        dtype="float32",
        seed=1,
    )


def records(count: int) -> pd.DataFrame:
    written = texts(count)
    return pd.DataFrame(
        {
            "id": [f"r{i:03d}" for i in range(count)],
            "family": "text",
            "text": written,
            "n_tokens": [len(text) for text in written],
        }
    )


def slow_reference(student: Student, prompt: list[int]) -> np.ndarray:
    """One record, no cache, no padding: a whole forward pass for every question asked."""
    model, tokens = student._model, student._tokens
    written = list(prompt)
    rows = []
    for prefix in student._prefixes:
        written = written + prefix
        logits = model(torch.tensor([written])).logits[0, -1].double()
        first = torch.softmax(logits[list(tokens.first[:10])], 0)
        after_one = model(torch.tensor([[*written, tokens.first[1]]])).logits[0, -1].double()
        end, zero = torch.softmax(after_one[[tokens.end, tokens.zero]], 0)
        row = [*first.tolist(), float(first[1] * zero)]
        row[1] = float(first[1] * end)
        rows.append(row)
        written = written + tokens.ids(int(np.argmax(row))) + student._separator
    return np.array(rows)


@torch.inference_mode()
def test_expected_equals_decoding_step_by_step(model_dir: Path):
    student = Student(model_dir, ANCHORS, settings("expected"))
    assert student._tokens.ten_is_split
    prompts = [student._prompt(text, "text") for text in records(6)["text"]]
    fast = expected_scores(
        student._model,
        prompts,
        student._prefixes,
        student._separator,
        student._tokens,
        student._tokenizer.pad_token_id,
    )
    slow = np.array([slow_reference(student, prompt) for prompt in prompts])
    assert np.allclose(fast.sum(-1), 1)
    assert np.abs(fast - slow).max() < 1e-4
    assert len({tuple(row) for row in slow.argmax(-1)}) > 1, "the records must not all agree"


def test_ten_is_not_read_as_one(model_dir: Path):
    tokenizer = load_tokenizer(str(model_dir))
    tokens = find_score_tokens(tokenizer, score_prefix(ANCHORS[0]))
    assert tokens.first[10] == tokens.first[1] and tokens.ids(10) != tokens.ids(1)
    assert tokenizer.decode(tokens.ids(10)) == "10"


def test_a_tokenizer_with_ten_as_one_token_is_read_in_one_step(model_dir: Path):
    tokenizer = load_tokenizer(str(model_dir))
    tokenizer.add_tokens(["10"])
    tokens = find_score_tokens(tokenizer, score_prefix(ANCHORS[0]))
    assert not tokens.ten_is_split
    assert tokens.ids(10) == encode(tokenizer, "10")


def test_scores_that_share_a_token_are_refused(model_dir: Path):
    class Bad:
        def encode(self, text: str, add_special_tokens: bool) -> list[int]:
            return [ord(c) if not c.isdigit() else 1 for c in text]

    with pytest.raises(UserError, match=r"scoring\.readout"):
        find_score_tokens(Bad(), "[A1] ")


def test_summary_of_a_distribution():
    probabilities = np.zeros((1, 1, 11))
    probabilities[0, 0, [4, 10]] = 0.5
    found = summarise_scores(probabilities)
    assert found["mean"][0, 0] == 7 and found["sd"][0, 0] == 3 and found["mode"][0, 0] == 4
    assert found["median"][0, 0] == 4
    probabilities[0, 0, [4, 10]] = 0.2, 0.8
    assert summarise_scores(probabilities)["median"][0, 0] == 10


@pytest.mark.parametrize("readout", ["expected", "sample", "greedy"])
def test_scores_do_not_depend_on_the_batch(model_dir: Path, readout: str):
    student = Student(model_dir, ANCHORS, settings(readout))
    together = student.score(records(5))
    alone = pd.concat([student.score(records(5).iloc[[i]]) for i in range(5)], ignore_index=True)
    columns = [f"s{i}_mean" for i in range(1, 6)]
    assert np.allclose(together[columns], alone[columns], atol=1e-3, equal_nan=True)
    assert together["prompt_hash"].tolist() == alone["prompt_hash"].tolist()


def test_samples_differ_between_seeds_and_unread_scores_stay_missing(model_dir: Path):
    from mira.scoring.generation import parse_replies

    slots = [anchor["slot"] for anchor in ANCHORS]
    scores = parse_replies(["[A1] 7\n[A2] 11\nnonsense"], slots)
    assert scores[0, 0] == 7 and np.isnan(scores[0, 1:]).all()


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=60), st.integers(1, 6), st.randoms())
def test_shards_are_balanced_and_independent_of_order(n_tokens, n_shards, random):
    frame = pd.DataFrame({"id": [f"r{i}" for i in range(len(n_tokens))], "n_tokens": n_tokens})
    shard = assign_shards(frame, n_shards)
    loads = frame["n_tokens"].groupby(shard).sum().reindex(range(n_shards), fill_value=0)
    assert loads.max() - loads.min() <= max(n_tokens)
    mixed = frame.sample(frac=1, random_state=random.randint(0, 99))
    assert (assign_shards(mixed, n_shards).sort_index() == shard).all()


def test_a_killed_shard_continues_to_the_same_scores(model_dir: Path, tmp_path: Path):
    student = Student(model_dir, ANCHORS, settings("expected"))
    frame = records(11)
    quiet = score_shard(student, frame, 4, tmp_path / "quiet.jsonl")
    lines = (tmp_path / "quiet.jsonl").read_bytes().splitlines(keepends=True)
    torn = tmp_path / "torn.jsonl"
    torn.write_bytes(b"".join(lines[:6]) + lines[6][:20])
    resumed = score_shard(student, frame, 4, torn)
    pd.testing.assert_frame_equal(quiet, resumed)
    scored = {tuple(sorted(batch["id"])) for batch in batches(frame, 4)}
    assert len(scored) == 3


def test_part_files_of_another_student_are_not_taken_up(model_dir: Path, tmp_path: Path):
    student = Student(model_dir, ANCHORS, settings("expected"))
    frame = records(4)
    quiet = score_shard(student, frame, 4, tmp_path / "a.jsonl")
    other = (tmp_path / "a.jsonl").read_text().replace(student.model_hash, "0" * 16)
    stale = tmp_path / "b.jsonl"
    stale.write_text(other.replace('"s1_mean":', '"s1_mean":9'))
    pd.testing.assert_frame_equal(quiet, score_shard(student, frame, 4, stale))


def test_an_empty_shard_has_the_columns_of_a_full_one(model_dir: Path, tmp_path: Path):
    student = Student(model_dir, ANCHORS, settings("expected"))
    full = score_shard(student, records(2), 4, tmp_path / "full.jsonl")
    empty = score_shard(student, records(2).iloc[:0], 4, tmp_path / "empty.jsonl")
    assert list(empty.columns) == list(full.columns) and empty.empty


def test_merging_refuses_gaps_and_mixtures():
    corpus = pd.DataFrame({"id": ["a", "b"], "source": "s", "group": "g", "n_tokens": 1})
    scores = pd.DataFrame({"id": ["a", "b"], "engine": "transformers", "readout": "expected"})
    assert merge_scores(corpus, scores)["id"].tolist() == ["a", "b"]
    with pytest.raises(ValueError, match="no scores"):
        merge_scores(corpus, scores.iloc[:1])
    with pytest.raises(ValueError, match="mixed"):
        merge_scores(corpus, scores.assign(readout=["expected", "sample"]))
