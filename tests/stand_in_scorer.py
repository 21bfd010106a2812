"""Model folders in the layout of the released scorers: shards, tokenizer, trainer_state.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from small_students import dense_model, hybrid_model, texts
from teaching import teach

from mira.distillation.model import load_tokenizer
from mira.distillation.prompt import encode_prompt
from mira.prompts import build_anchored
from mira.sampling.tokenizer import train_tokenizer

SCORES = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 1, 7, 5]
STATE = {
    "global_step": 2,
    "log_history": [{"step": 1, "loss": 1.5, "grad_norm": float("nan")}, {"step": 2, "loss": 1.0}],
}


def card_reply(anchors: list[dict[str, Any]]) -> str:
    """An answer in the cards' format, with the scores of ``SCORES``."""
    lines = [
        f"[{anchor['slot']}] {anchor['name']}: {score}/10 — as seen"
        for anchor, score in zip(anchors, SCORES, strict=True)
    ]
    summary = ["overall: 52", "training_recommendation: keep", "domain_tag: demo", "brief: words."]
    return "\n".join([*lines, *summary]) + "\n"


def make_released(folder: Path) -> Path:
    """A Qwen3.5-MoE of random weights in two shards or more, as a repository would hold it."""
    tokenizer = _tokenizer(folder, texts(50), 320)
    _save(hybrid_model(tokenizer), tokenizer, folder / "released")
    return folder / "released"


def make_taught(folder: Path, anchors: list[dict[str, Any]], steps: int = 300) -> Path:
    """A small dense model that answers every record with :func:`card_reply`."""
    reply = card_reply(anchors)
    asked = [message["content"] for message in build_anchored("words", "text", anchors)]
    tokenizer = _tokenizer(folder, [reply, *asked] * 4 + texts(20), 1024)
    model = dense_model(tokenizer)
    answer = [*tokenizer.encode(reply, add_special_tokens=False), tokenizer.eos_token_id]
    settings: dict[str, Any] = {"style": "full", "rationales": True, "max_record_tokens": 64}
    prompts = [encode_prompt(text, "text", anchors, tokenizer, **settings) for text in texts(4)]
    rows = [(prompt, answer) for prompt in prompts]
    teach(model, rows, tokenizer.pad_token_id, steps=steps, batch_size=1, rate=5e-3)
    _save(model, tokenizer, folder / "taught")
    return folder / "taught"


def _tokenizer(folder: Path, words: list[str], size: int) -> Any:
    train_tokenizer(iter(words), size, folder / "tokenizer")
    return load_tokenizer(str(folder / "tokenizer"))


def _save(model: Any, tokenizer: Any, folder: Path) -> None:
    model.to(torch.bfloat16).save_pretrained(folder, max_shard_size="150KB")
    tokenizer.save_pretrained(folder)
    (folder / "trainer_state.json").write_text(json.dumps(STATE), encoding="utf-8")
    # What the hub's client leaves beside a download, and what stays behind.
    (folder / ".cache").mkdir()
    (folder / ".cache" / "download.lock").write_text("")
