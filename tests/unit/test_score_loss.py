"""The squared error of the expected score: where scores are, and which way it pulls."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch
from tiny_models import TEMPLATE, make_dense, make_tokenizer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from mira.distillation.examples import ExampleSettings, build_examples
from mira.distillation.score_loss import ScoreLoss, locate_scores, make_score_loss
from mira.distillation.targets import render_target
from mira.distillation.training import TrainingSettings, train
from mira.errors import UserError

ANCHORS = [
    {"slot": f"A{i}", "name": name, "definition": "d", "references": []}
    for i, name in enumerate(("Depth 10", "Depth 10", "Care: 7"), start=1)
]


def byte_tokenizer(merges: list[tuple[str, str]] | None = None) -> PreTrainedTokenizerFast:
    """Bytes as tokens, digits apart, as Qwen's; ``merges`` such as ("1", "0") join some."""
    merges = merges or []
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*alphabet, *(a + b for a, b in merges), "<|end|>"]
    model = models.BPE({token: i for i, token in enumerate(tokens)}, merges)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|end|>", chat_template=TEMPLATE
    )


SPLIT = byte_tokenizer()
WHOLE = byte_tokenizer([("1", "0")])


def label(*scores: float) -> dict:
    reasons = {f"r{i}": "[A2] Depth 10: 3/10 — no" for i in range(1, len(scores) + 1)}
    rest = {"overall": 50.0, "recommendation": "keep", "domain_tag": "x", "brief": "y"}
    return {f"s{i}": float(s) for i, s in enumerate(scores, start=1)} | reasons | rest


LABELS = pd.DataFrame([label(10, 7, 1), label(10, 0, 10)])


@pytest.mark.parametrize("tokenizer", [SPLIT, WHOLE])
@pytest.mark.parametrize("rationales", [True, False])
def test_scores_are_found_in_both_answer_formats(tokenizer, rationales):
    target = render_target(label(10, 7, 1), ANCHORS, rationales)
    ids = tokenizer.encode(target, add_special_tokens=False)
    term = make_score_loss(LABELS, ANCHORS, tokenizer, 1.0)
    places = locate_scores(target, label(10, 7, 1), ANCHORS, rationales, tokenizer)
    assert [score for _, score in places] == [10, 7, 1]
    assert [ids[at] for at, _ in places] == [term.first[score] for _, score in places]
    before = [tokenizer.decode(ids[:at]).splitlines()[-1] for at, _ in places]
    names = [": " if rationales else "] "] * 3
    assert [line[-2:] for line in before] == names
    assert [line[:4] for line in before] == ["[A1]", "[A2]", "[A3]"]


def test_examples_say_where_their_scores_are():
    labels = LABELS.assign(id=["a", "b"])
    texts = pd.DataFrame({"id": ["a", "b"], "family": "text", "text": ["one", "two"]})
    settings = ExampleSettings("compact", 64, 0.5, seed=0, locate_scores=True)
    term = make_score_loss(LABELS, ANCHORS, SPLIT, 1.0)
    for example in build_examples(labels, texts, ANCHORS, SPLIT, settings):
        for at, score in example["scores"]:
            assert example["input_ids"][at] == example["labels"][at] == term.first[score]


def logits(term: ScoreLoss, tokens: list[int], height: float = 50.0) -> torch.Tensor:
    table = torch.zeros(len(tokens), 400)
    table[range(len(tokens)), tokens] = height
    return table


@pytest.mark.parametrize("tokenizer", [SPLIT, WHOLE])
def test_a_certain_and_right_student_has_no_error(tokenizer):
    term = make_score_loss(LABELS, ANCHORS, tokenizer, 1.0)
    scores = torch.tensor([10, 7, 1, 0])
    first = logits(term, [term.first[int(s)] for s in scores])
    seconds = [term.zero or 0, term.ends[0], term.ends[-1], term.ends[0]]
    error = term.squared_errors(first, logits(term, seconds), scores)
    assert float(error) == pytest.approx(0, abs=1e-8)


def test_a_certain_and_wrong_student_has_the_squared_distance():
    term = make_score_loss(LABELS, ANCHORS, WHOLE, 1.0)
    scores = torch.tensor([10, 7])
    first = logits(term, [term.first[6], term.first[9]])
    error = term.squared_errors(first, first, scores)
    assert float(error) == pytest.approx((4**2 + 2**2) / 100, rel=1e-4)


def test_a_split_ten_taken_for_a_one_costs_at_its_second_token():
    term = make_score_loss(LABELS, ANCHORS, SPLIT, 1.0)
    first = logits(term, [term.first[1]])
    error = term.squared_errors(first, logits(term, [term.ends[0]]), torch.tensor([10]))
    assert float(error) == pytest.approx(81 / 100, rel=1e-4)


def test_one_stands_for_the_mean_of_the_labels_that_begin_with_it():
    term = make_score_loss(LABELS, ANCHORS, SPLIT, 1.0)
    assert term.value_of_one == pytest.approx((3 * 10 + 1) / 4)
    assert term.values[1] == term.value_of_one and len(term.values) == 10
    none = make_score_loss(pd.DataFrame([label(3, 4, 5)]), ANCHORS, SPLIT, 1.0)
    assert none.value_of_one == 5.5


@pytest.mark.parametrize("tokenizer", [SPLIT, WHOLE])
def test_the_gradient_pulls_the_expectation_towards_the_label(tokenizer):
    term = make_score_loss(LABELS, ANCHORS, tokenizer, 1.0)
    table = torch.zeros(1, 400, requires_grad=True)
    term.squared_errors(table, table, torch.tensor([9])).backward()
    assert table.grad is not None
    gradient = table.grad[0]
    assert gradient[term.first[9]] < 0 < gradient[term.first[0]]
    others = [i for i in range(400) if i not in term.digits]
    assert not gradient[others].any()


def test_a_tokenizer_that_joins_scores_with_their_line_is_refused():
    joined = byte_tokenizer([("Ġ", "8")])
    with pytest.raises(UserError, match="score_loss_weight"):
        make_score_loss(LABELS, ANCHORS, joined, 1.0)


def losses(out: Path, score_loss: ScoreLoss | None) -> list[float]:
    ids = [20, 21, 22, 7, 23]
    example = {"input_ids": ids, "labels": ids, "length": len(ids), "scores": [(3, 7)]}
    settings = TrainingSettings(
        learning_rate=1e-2,
        batch_size=2,
        warmup_share=0.0,
        weight_decay=0.0,
        precision="float32",
        save_steps=50,
        seed=0,
        max_steps=3,
    )
    state = train(
        make_dense(),
        make_tokenizer(),
        [example, example],
        settings,
        model_dir=out / "model",
        state_path=out / "state.json",
        resume_dir=out / "resume",
        score_loss=score_loss,
    )
    return [entry["loss"] for entry in state["log_history"] if "loss" in entry]


def test_weight_nought_is_plain_cross_entropy_and_more_adds_the_error(tmp_path: Path):
    tokens = (*range(10), 11)
    plain = losses(tmp_path / "plain", None)
    assert losses(tmp_path / "nought", ScoreLoss(0.0, tokens, None, (12,), 5.5)) == plain
    added = losses(tmp_path / "added", ScoreLoss(2.0, tokens, None, (12,), 5.5))
    inputs = torch.tensor([[20, 21, 22, 7, 23]])
    with torch.no_grad():
        chances = make_dense()(inputs).logits[0, 2, list(tokens)].softmax(-1)
    expected = float(chances @ torch.arange(11.0))
    assert added[0] - plain[0] == pytest.approx(2 * (expected - 7) ** 2 / 100, abs=1e-4)
