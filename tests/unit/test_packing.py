"""Packing: every example once, and none sees another."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import make_dense, make_hybrid, make_tokenizer

from mira.distillation.batching import count_steps, order_packed, pack_epoch
from mira.distillation.collating import PackedCollator, PaddedCollator
from mira.distillation.examples import IGNORE
from mira.distillation.packing import carries_state, check_isolated, pack_lengths
from mira.distillation.training import TrainingSettings, train
from mira.errors import UserError

# Float noise of the same sums in another order, in float32, on logits that vary by over 0.1.
NOISE = 1e-5


def examples(lengths: list[int]) -> list[dict]:
    rng = np.random.default_rng(0)
    found = []
    for length in lengths:
        ids = rng.integers(0, 100, length)
        labels = np.where(np.arange(length) < length // 2, IGNORE, ids)
        found.append({"input_ids": ids, "labels": labels, "length": length})
    return found


@given(st.lists(st.integers(1, 500), max_size=80), st.integers(1, 400))
def test_every_example_is_in_one_row_and_rows_are_not_overfull(lengths, capacity):
    rows = pack_lengths(np.array(lengths, dtype=int), capacity)
    assert sorted(i for row in rows for i in row) == list(range(len(lengths)))
    for row in rows:
        assert len(row) == 1 or sum(lengths[i] for i in row) <= capacity


@given(st.lists(st.integers(1, 100), min_size=1, max_size=80))
def test_no_two_rows_would_fit_in_one(lengths):
    rows = pack_lengths(np.array(lengths), 100)
    totals = sorted(sum(lengths[i] for i in row) for row in rows)
    assert all(a + b > 100 for a, b in pairwise(totals))


def test_packed_order_is_data_and_each_epoch_another():
    given_ = examples([int(n) for n in np.random.default_rng(1).integers(5, 60, 50)])
    lengths = np.array([e["length"] for e in given_])
    epoch = len(pack_epoch(lengths, 128, seed=3))
    rows = order_packed(given_, 128, 2 * epoch, seed=3)
    again = order_packed(given_, 128, 2 * epoch, seed=3)
    assert [[id(e) for e in row] for row in rows] == [[id(e) for e in row] for row in again]
    first = [id(e) for row in rows[:epoch] for e in row]
    assert sorted(first) == sorted(map(id, given_))
    assert first != [id(e) for row in rows[epoch:] for e in row][: len(first)]


@pytest.mark.parametrize("rows, per_step, steps", [(40, 4, 10), (41, 4, 11), (3, 16, 1)])
def test_steps_are_rounded_up_so_that_no_row_is_left_out(rows, per_step, steps):
    assert count_steps(1.0, rows, per_step) == steps


def test_packed_logits_are_those_of_the_examples_alone():
    model = make_dense()
    rows = [examples([9, 17, 5]), examples([12, 8])]
    batch = PackedCollator(0, with_state=False)(rows)
    labels = batch.pop("labels")
    batch.pop("scores")
    with torch.no_grad():
        packed = model(**batch, use_cache=False).logits
        for number, row in enumerate(rows):
            start = 0
            for example in row:
                ids = torch.tensor(example["input_ids"])[None]
                alone = model(input_ids=ids, use_cache=False).logits[0]
                end = start + example["length"]
                assert (packed[number, start:end] - alone).abs().max() < NOISE
                start = end
    assert alone.std() > 0.1
    assert (labels[:, 0] == IGNORE).all()


def test_no_example_is_asked_to_predict_the_next_ones_beginning():
    row = examples([4, 4])
    for example in row:
        example["labels"] = example["input_ids"]
    labels = PackedCollator(0, with_state=False)([row])["labels"][0]
    assert [int(i) for i in (labels == IGNORE).nonzero()] == [0, 4]


def test_padded_and_packed_batches_have_the_same_labels():
    row = examples([9, 17, 5])
    packed = PackedCollator(0, with_state=False)([row])["labels"]
    padded = PaddedCollator(0)([[e] for e in row])["labels"]
    assert packed[packed != IGNORE].tolist() == padded[padded != IGNORE].tolist()


def losses(out: Path, **values: Any) -> list[float]:
    settings = TrainingSettings(
        learning_rate=1e-2,
        warmup_share=0.0,
        weight_decay=0.0,
        precision="float32",
        save_steps=50,
        seed=0,
        max_steps=3,
        **values,
    )
    given_ = examples([9, 17, 5, 12, 8, 21, 7, 30])
    places = {"model_dir": out / "model", "state_path": out / "state.json"}
    state = train(
        make_dense(), make_tokenizer(), given_, settings, **places, resume_dir=out / "resume"
    )
    return [entry["loss"] for entry in state["log_history"] if "loss" in entry]


def test_a_step_of_all_examples_learns_the_same_however_they_are_arranged(tmp_path: Path):
    """The loss is the mean over the labelled tokens of the step, not of its rows or batches."""
    padded = losses(tmp_path / "padded", batch_size=8)
    assert padded[2] < padded[0]
    batches = losses(tmp_path / "batches", batch_size=2, gradient_accumulation=4)
    packed = losses(tmp_path / "packed", batch_size=1, packed_tokens=1000)
    assert batches == pytest.approx(padded, abs=1e-4)
    assert packed == pytest.approx(padded, abs=1e-4)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_attention_only_models_pass_the_isolation_check(attention):
    model = make_dense(attn_implementation=attention)
    assert not carries_state(model)
    check_isolated(model, model, "cpu")


def test_layers_with_a_state_are_refused_without_their_kernels():
    model = make_hybrid()
    assert carries_state(model)
    with pytest.raises(UserError, match=r"set it to false, or install flash-linear-attention"):
        check_isolated(model, model, "cpu")


def test_a_leak_is_measured(monkeypatch: pytest.MonkeyPatch):
    """Delta-net layers that are not told the boundaries carry their state into the next text."""
    model = make_hybrid()
    monkeypatch.setattr("mira.distillation.packing.carries_state", lambda model: False)
    with pytest.raises(UserError, match="Examples in one row see each other"):
        check_isolated(model, model, "cpu")
