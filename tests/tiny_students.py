"""Small students that have really learnt the scores-only answer, in seconds on one thread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from teaching import teach

from mira.config import Architecture
from mira.distillation.model import load_tokenizer, small_model
from mira.distillation.prompt import add_student_tokens
from mira.distillation.targets import render_target
from mira.sampling.tokenizer import train_tokenizer
from mira.scoring.engine import Prompt

WORDS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta")
SLOTS = ("A1", "A2", "A3", "A4")
ANCHORS = [{"slot": slot, "name": slot} for slot in SLOTS]
MAX_NEW_TOKENS = 24
_STEPS = 150
_BATCH = 20


def make_text(rng: np.random.Generator) -> str:
    """Words in uneven shares."""
    shares = rng.dirichlet(np.full(len(WORDS), 0.5))
    return " ".join(rng.choice(WORDS, rng.integers(8, 24), p=shares)) + "."


def label(text: str) -> dict[str, int]:
    """Score i: the share of word i, doubled."""
    words = text.removesuffix(".").split()
    shares = [words.count(word) / len(words) for word in WORDS[: len(SLOTS)]]
    return {f"s{i}": round(10 * min(1, 2 * share)) for i, share in enumerate(shares, start=1)}


def train_student(folder: Path, *, ten_is_one_token: bool) -> Path:
    """Train a student on its labels; its folder, with tokenizer."""
    rng = np.random.default_rng(0)
    texts = [make_text(rng) for _ in range(600)]
    train_tokenizer(iter(texts), 320, folder / "tokenizer")
    tokenizer = load_tokenizer(str(folder / "tokenizer"))
    add_student_tokens(tokenizer, len(SLOTS))
    if ten_is_one_token:
        tokenizer.add_tokens(["10"])
    model = small_model(Architecture(layers=2, intermediate_size=256), tokenizer, 0)
    rows = [(as_prompt(text, tokenizer).ids, _target(text, tokenizer)) for text in texts]
    teach(model, rows, tokenizer.pad_token_id, steps=_STEPS, batch_size=_BATCH, rate=2e-3)
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    return folder / "model"


def as_prompt(text: str, tokenizer: Any) -> Prompt:
    """The text as a student reads it."""
    messages = ({"role": "user", "content": f"{text}\n\nscores"},)
    rendered = tokenizer.apply_chat_template(
        list(messages), add_generation_prompt=True, tokenize=False
    )
    return Prompt(tuple(tokenizer.encode(rendered, add_special_tokens=False)), messages)


def _target(text: str, tokenizer: Any) -> list[int]:
    target = render_target(label(text), ANCHORS, rationales=False)
    return [*tokenizer.encode(target, add_special_tokens=False), tokenizer.eos_token_id]
