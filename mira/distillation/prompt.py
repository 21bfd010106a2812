"""What a student reads: the same bytes at training and at scoring."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from mira.distillation.statistics import Bins, describe, statistic_tokens
from mira.errors import UserError
from mira.prompts import Message, build_anchored
from mira.records import Family

GAP = "\n[...]\n"
HEAD_SHARE = 0.6

Style = Literal["full", "rubric", "compact"]


def student_messages(
    text: str, family: Family, anchors: list[dict[str, Any]], style: Style, rationales: bool
) -> list[Message]:
    """Chat messages for one record.

    ``full`` is the teacher's own prompt with its calibration references (cards). ``rubric`` is
    that prompt without the references. ``compact`` is the record alone followed by one word that
    says whether reasons are wanted. What the prompt lacks is learnt in training (context
    distillation, ours).
    """
    if style != "compact":
        references = style == "full"
        return build_anchored(text, family, anchors, references=references, rationales=rationales)
    return [{"role": "user", "content": f"{text}\n\n{'reasons' if rationales else 'scores'}"}]


def fit_tokens(text: str, tokenizer: Any, max_tokens: int) -> str:
    """The text cut to about ``max_tokens`` tokens: its head, a gap mark, its tail (ours).

    The tail keeps 40 %, since the end of a trace or an answer often decides its worth.
    """
    if len(text.encode()) <= max_tokens:
        return text
    ids = tokenizer.encode(text, add_special_tokens=False)
    if len(ids) <= max_tokens:
        return text
    head = int(max_tokens * HEAD_SHARE)
    tail = max_tokens - head
    return tokenizer.decode(ids[:head]) + GAP + tokenizer.decode(ids[-tail:])


def neutralise(text: str, tokenizer: Any) -> str:
    """Break the tokenizer's control tokens inside a record, so that text stays text (ours)."""
    for token in tokenizer.all_special_tokens:
        text = text.replace(token, f"{token[0]} {token[1:]}")
    return text


def split_windows(text: str, tokenizer: Any, max_tokens: int, max_windows: int) -> list[str]:
    """The record, neutralised, in consecutive windows of about equal length (ours).

    Each has at most ``max_tokens`` tokens and together they are the whole text. Where that takes
    more than ``max_windows`` (2 or more), as many are taken at even distances, the first and the
    last among them. Raises UserError for a tokenizer that does not tell where its tokens lie.
    """
    text = neutralise(text, tokenizer)
    if len(text.encode()) <= max_tokens:
        return [text]
    starts = _token_starts(text, tokenizer)
    windows = [text]
    for count in range(math.ceil(len(starts) / max_tokens), len(starts) + 1):
        cuts = [starts[len(starts) * k // count] for k in range(1, count)]
        windows = [text[a:b] for a, b in pairwise([0, *cuts, len(text)]) if a < b]
        # Text cut inside a word may take more tokens than it did as a whole.
        if all(len(_token_starts(window, tokenizer)) <= max_tokens for window in windows):
            break
    chosen = np.linspace(0, len(windows) - 1, min(max_windows, len(windows)))
    return [windows[i] for i in chosen.round().astype(int)]


def _token_starts(text: str, tokenizer: Any) -> list[int]:
    if not tokenizer.is_fast:
        raise UserError(
            "scoring.on_too_long 'windows' needs a tokenizer with a tokenizer.json, and this "
            "student's has none: choose 'head_tail' or 'reject'."
        )
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    return [start for start, _ in found["offset_mapping"]]


def render_messages(
    text: str,
    family: Family,
    anchors: list[dict[str, Any]],
    tokenizer: Any,
    *,
    style: Style,
    rationales: bool,
    max_record_tokens: int,
    bins: Bins | None = None,
) -> list[Message]:
    """Chat messages for one record, its control tokens broken and its length bounded.

    With ``bins`` the statistics of the whole record stand below the cut view of its text.
    """
    fitted = fit_tokens(neutralise(text, tokenizer), tokenizer, max_record_tokens)
    if bins is not None:
        fitted += f"\n{describe(text, bins)}"
    return student_messages(fitted, family, anchors, style, rationales)


def encode_messages(messages: list[Message], tokenizer: Any) -> list[int]:
    """Token ids of a rendered conversation, ending where the student begins to write."""
    rendered = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    return list(tokenizer.encode(rendered, add_special_tokens=False))


def encode_prompt(
    text: str,
    family: Family,
    anchors: list[dict[str, Any]],
    tokenizer: Any,
    *,
    style: Style,
    rationales: bool,
    max_record_tokens: int,
    bins: Bins | None = None,
) -> list[int]:
    """``render_messages`` and ``encode_messages`` in one step."""
    messages = render_messages(
        text,
        family,
        anchors,
        tokenizer,
        style=style,
        rationales=rationales,
        max_record_tokens=max_record_tokens,
        bins=bins,
    )
    return encode_messages(messages, tokenizer)


def add_student_tokens(tokenizer: Any, n_slots: int) -> None:
    """Give each slot mark and each statistic a token of its own: shorter, easier to learn (ours).

    For students that are trained from scratch; a published base keeps its own vocabulary.
    """
    tokenizer.add_tokens([f"[A{i}]" for i in range(1, n_slots + 1)] + statistic_tokens())
