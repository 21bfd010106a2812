"""Scoring: the readouts against slow references, views of long records, shards, resuming."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_students import ANCHORS, hybrid_model, make_student, records

from mira.config import Scoring
from mira.distillation.model import load_model, load_tokenizer
from mira.distillation.targets import score_prefix
from mira.errors import UserError
from mira.scoring.engine import Counters, Prompt, Skeleton
from mira.scoring.engines.skeleton import skeleton_scores
from mira.scoring.engines.stepping import stepped_scores
from mira.scoring.engines.transformers import TransformersEngine
from mira.scoring.expected import divide_ten, summarise_scores
from mira.scoring.merge import check_unmixed, count_scores, merge_scores, sum_counters
from mira.scoring.settings import ReadoutSettings
from mira.scoring.shards import assign_shards, score_shard
from mira.scoring.skeletons import build_skeleton
from mira.scoring.student import Student, batches, open_student, parse_replies
from mira.scoring.tokens import encode, find_score_tokens
from mira.scoring.views import view_record


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_student(tmp_path_factory.mktemp("student"))


@pytest.fixture(scope="module")
def whole_ten_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_student(tmp_path_factory.mktemp("whole_ten"), whole_ten=True)


def settings(readout: str, **scoring: Any) -> ReadoutSettings:
    return ReadoutSettings(
        scoring=Scoring(
            readout=readout, dtype="float32", max_new_tokens=24, batch_size=4, **scoring
        ),
        style="compact",
        max_record_tokens=64,
        seed=1,
    )


def opened(model_dir: Path, readout: str, **scoring: Any) -> Student:
    return open_student(model_dir, ANCHORS, settings(readout, **scoring), "g1")


def prompts_of(student: Student, count: int) -> list[Prompt]:
    return [student._prompt(text, "text") for text in records(count)["text"]]


def slow_reference(model: Any, prompt: Prompt, skeleton: Skeleton) -> np.ndarray:
    """One record, no cache, no padding: a whole forward pass for every question asked."""
    tokens = skeleton.tokens
    written = list(prompt.ids)
    rows = []
    for slot in range(len(skeleton.slots)):
        written += skeleton.prefixes[slot]
        following = model(torch.tensor([written])).logits[0, -1].double()
        if not tokens.ten_is_split:
            row = torch.softmax(following[list(tokens.first)], 0).tolist()
            chosen = int(np.argmax(row))
        else:
            first = torch.softmax(following[list(tokens.first[:10])], 0)
            after_one = model(torch.tensor([[*written, tokens.first[1]]])).logits[0, -1].double()
            end, zero = torch.softmax(after_one[[tokens.end, tokens.zero]], 0)
            row = [*first.tolist(), float(first[1] * zero)]
            row[1] = float(first[1] * end)
            chosen = int(first.argmax())
            if chosen == 1:
                chosen = 10 if zero > end else 1
        rows.append(row)
        written += [*tokens.ids(chosen), *skeleton.separator]
    return np.array(rows)


@pytest.mark.parametrize("read", [stepped_scores, skeleton_scores])
@pytest.mark.parametrize("kind", ["split ten", "whole ten"])
@torch.inference_mode()
def test_expected_equals_decoding_step_by_step(
    model_dir: Path, whole_ten_dir: Path, kind: str, read: Any
):
    folder = model_dir if kind == "split ten" else whole_ten_dir
    model = load_model(str(folder), "float32").eval()
    student = opened(folder, "expected")
    skeleton, pad = student._skeleton, student._tokenizer.pad_token_id
    assert skeleton is not None and skeleton.tokens.ten_is_split == (kind == "split ten")
    prompts = prompts_of(student, 8)
    fast = read(model, [prompt.ids for prompt in prompts], skeleton, pad)
    slow = np.array([slow_reference(model, prompt, skeleton) for prompt in prompts])
    assert np.allclose(fast.sum(-1), 1)
    # Endings of a "1" that has less than 0.001 of the probability are not asked.
    assert np.abs(fast - slow).max() < 1e-3
    assert np.abs((fast - slow) @ np.arange(11)).max() < 5e-3
    assert len({tuple(row) for row in slow.argmax(-1)}) > 1, "the records must not all agree"


@torch.inference_mode()
def test_a_recurrent_model_is_read_without_taking_tokens_back(model_dir: Path):
    tokenizer = load_tokenizer(str(model_dir))
    skeleton = build_skeleton(ANCHORS, tokenizer)
    model = hybrid_model(tokenizer).eval()
    for weight in model.parameters():  # random logits are nearly flat
        weight.mul_(2 if weight.dim() == 2 else 1)
    engine = TransformersEngine(model, tokenizer)
    prompts = prompts_of(opened(model_dir, "expected"), 5)
    found = skeleton_scores(model, [p.ids for p in prompts], skeleton, tokenizer.pad_token_id)
    assert np.isnan(found).all(), "an untrained model gives the scores hardly any probability"
    read = unrestrained(lambda: engine.expected(prompts, skeleton))
    slow = np.array([slow_reference(model, prompt, skeleton) for prompt in prompts])
    assert np.abs(read - slow).max() < 1e-3


def unrestrained(read: Any) -> np.ndarray:
    """Scores of a model that has not learnt the form, as if it had."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mira.scoring.expected.READABLE_SHARE", 0.0)
        return np.asarray(read())


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


def test_an_unread_slot_stays_unread_in_every_statistic():
    probabilities = np.full((1, 2, 11), 1 / 11)
    probabilities[0, 1] = np.nan
    for values in summarise_scores(probabilities).values():
        assert not np.isnan(values[0, 0]) and np.isnan(values[0, 1])


def test_what_follows_a_one_divides_it():
    first = np.full(10, 0.1)
    divided = divide_ten(first, np.array([0.25, 0.75]))
    assert divided[1] == pytest.approx(0.025) and divided[10] == pytest.approx(0.075)
    assert divide_ten(first, np.full(2, np.nan))[[1, 10]].tolist() == [0.05, 0.05]


@pytest.mark.parametrize("readout", ["expected", "sample", "greedy"])
def test_scores_do_not_depend_on_the_batch(model_dir: Path, readout: str):
    student = opened(model_dir, readout)
    together = student.score(records(5))
    alone = pd.concat([student.score(records(5).iloc[[i]]) for i in range(5)], ignore_index=True)
    columns = [f"s{i}_mean" for i in range(1, 6)]
    assert np.allclose(together[columns], alone[columns], atol=1e-3, equal_nan=True)
    assert together["prompt_hash"].tolist() == alone["prompt_hash"].tolist()


def test_unread_scores_stay_missing():
    slots = [anchor["slot"] for anchor in ANCHORS]
    scores = parse_replies(["[A1] 7\n[A2] 11\nnonsense", None], slots)
    assert scores[0, 0] == 7 and np.isnan(scores[0, 1:]).all() and np.isnan(scores[1]).all()


@pytest.mark.parametrize("readout", ["expected", "greedy"])
def test_a_student_that_writes_nonsense_gives_missing_scores(model_dir: Path, readout: str):
    student = opened(model_dir, readout)
    with torch.no_grad():
        for weight in student.engine._model.parameters():  # type: ignore[attr-defined]
            weight.copy_(torch.randn_like(weight))
    scored = student.score(records(6))
    assert scored[[f"s{i}_mean" for i in range(1, 6)]].isna().all(axis=None)
    assert count_scores(scored)["no_slot_read"] == 6


class Counting(TransformersEngine):
    """Says that it has a prefix cache, and what that spared."""

    block_tokens = 8
    cached_tokens = 0

    def counters(self) -> Counters:
        return Counters(0, 0, self.cached_tokens)


def test_a_prefix_cache_that_spares_nothing_is_told(model_dir: Path):
    student = opened(model_dir, "expected")
    assert student.cache_warning() is None, "this engine has none"
    model, tokenizer = student.engine._model, student._tokenizer  # type: ignore[attr-defined]
    student.engine = Counting(model, tokenizer)
    frame = records(6).assign(text=[f"{'alpha beta ' * 12}{i}" for i in range(6)])
    student.score(frame)
    warning = student.cache_warning()
    assert warning is not None and "PREFIX CACHE NOT SEEN TO WORK: 6 prompts" in warning
    student.engine.cached_tokens = 10_000
    assert student.cache_warning() is None


def long_record() -> pd.DataFrame:
    text = " ".join(f"alpha{i} beta gamma" for i in range(60))
    return pd.DataFrame({"id": ["long"], "family": "text", "text": text, "n_tokens": 400})


def test_long_records_follow_the_policy_and_are_counted(model_dir: Path):
    frame = pd.concat([records(2), long_record()], ignore_index=True)
    means = {}
    for policy, view in (("head_tail", "cut"), ("windows", "windows"), ("reject", "rejected")):
        student = opened(model_dir, "expected", on_too_long=policy, max_windows=3)
        scored = student.score(frame).set_index("id")
        assert scored["view"].tolist() == ["whole", "whole", view]
        counts = count_scores(scored)
        assert counts[f"view_{view}"] == 1 and counts["view_whole"] == 2
        means[policy] = float(scored.loc["long", "s1_mean"])
    assert np.isnan(means["reject"]) and means["head_tail"] != means["windows"]


def test_a_record_in_windows_has_the_mean_of_its_windows(model_dir: Path):
    student = opened(model_dir, "expected", on_too_long="windows", max_windows=3)
    viewed = view_record(long_record()["text"][0], student._tokenizer, 64, "windows", 3)
    assert len(viewed.texts) == 3
    parts = pd.DataFrame({"id": list("abc"), "family": "text", "text": viewed.texts})
    whole, alone = student.score(long_record()), student.score(parts)
    assert whole["s2_mean"][0] == pytest.approx(alone["s2_mean"].mean(), abs=1e-5)
    assert whole["s2_sd"][0] >= alone["s2_sd"].min() - 1e-5


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=60), st.integers(1, 6), st.randoms())
def test_shards_are_balanced_and_independent_of_order(n_tokens, n_shards, random):
    frame = pd.DataFrame({"id": [f"r{i}" for i in range(len(n_tokens))], "n_tokens": n_tokens})
    shard = assign_shards(frame, n_shards)
    loads = frame["n_tokens"].groupby(shard).sum().reindex(range(n_shards), fill_value=0)
    assert loads.max() - loads.min() <= max(n_tokens)
    mixed = frame.sample(frac=1, random_state=random.randint(0, 99))
    assert (assign_shards(mixed, n_shards).sort_index() == shard).all()


def test_a_killed_shard_continues_to_the_same_scores(model_dir: Path, tmp_path: Path):
    student = opened(model_dir, "expected")
    frame = records(11)
    quiet = score_shard(student, frame, tmp_path / "quiet.jsonl")
    lines = (tmp_path / "quiet.jsonl").read_bytes().splitlines(keepends=True)
    torn = tmp_path / "torn.jsonl"
    torn.write_bytes(b"".join(lines[:6]) + lines[6][:20])
    resumed = score_shard(student, frame, torn)
    pd.testing.assert_frame_equal(quiet, resumed)
    scored = {tuple(sorted(batch["id"])) for batch in batches(frame, 4)}
    assert len(scored) == 3


def test_part_files_of_other_students_or_settings_are_not_taken_up(model_dir: Path, tmp_path: Path):
    student = opened(model_dir, "sample")
    frame = records(4)
    stale = tmp_path / "a.jsonl"
    score_shard(student, frame, stale)
    stale.write_text(re.sub('"s1_mean":[^,]*', '"s1_mean":99', stale.read_text()))
    warmer = opened(model_dir, "sample", temperature=1.3)
    assert warmer.fingerprint != student.fingerprint
    fresh = score_shard(warmer, frame, tmp_path / "b.jsonl")
    pd.testing.assert_frame_equal(fresh, score_shard(warmer, frame, stale))


def test_an_empty_shard_has_the_columns_of_a_full_one(model_dir: Path, tmp_path: Path):
    student = opened(model_dir, "expected")
    full = score_shard(student, records(2), tmp_path / "full.jsonl")
    empty = score_shard(student, records(2).iloc[:0], tmp_path / "empty.jsonl")
    assert list(empty.columns) == list(full.columns) and empty.empty


def scores_of_two(**columns: Any) -> pd.DataFrame:
    made = {"engine": "transformers", "engine_version": "5", "readout": "expected", "view": "whole"}
    return pd.DataFrame({"id": ["a", "b"], "s1_mean": [5.0, np.nan], **made, **columns})


def test_merging_refuses_gaps_and_mixtures():
    corpus = pd.DataFrame({"id": ["a", "b"], "source": "s", "group": "g", "n_tokens": 1})
    assert merge_scores(corpus, scores_of_two())["id"].tolist() == ["a", "b"]
    with pytest.raises(ValueError, match="no scores"):
        merge_scores(corpus, scores_of_two().iloc[:1])
    for column in ("engine", "engine_version", "readout"):
        with pytest.raises(UserError, match=f"different {column}s .*'x', 'y'"):
            check_unmixed(scores_of_two(**{column: ["x", "y"]}))


def test_counts_and_counters_of_shards():
    counts = count_scores(scores_of_two())
    assert counts["records"] == 2 and counts["some_slot_unread"] == counts["no_slot_read"] == 1
    shards = pd.DataFrame({"prompt_tokens": [3, 4], "cached_tokens": [None, 2.0]})
    assert sum_counters(shards) == {"prompt_tokens": 7, "cached_tokens": None}
