"""What a student reads: the same bytes at training and at scoring."""

from __future__ import annotations

from typing import Any, Literal

from mira.distillation.statistics import Bins, describe, statistic_tokens
from mira.prompts import Message, build_anchored
from mira.records import Family

GAP = "\n[...]\n"
HEAD_SHARE = 0.6

Style = Literal["full", "compact"]


def student_messages(
    text: str, family: Family, anchors: list[dict[str, Any]], style: Style, rationales: bool
) -> list[Message]:
    """Chat messages for one record.

    ``full`` is the teacher's own prompt with its calibration references (cards). ``compact`` is
    the record alone followed by one word that says whether reasons are wanted: the rubric is
    learnt in training (context distillation, ours).
    """
    if style == "full":
        return build_anchored(text, family, anchors, references=True, rationales=rationales)
    return [{"role": "user", "content": f"{text}\n\n{'reasons' if rationales else 'scores'}"}]


def fit_tokens(text: str, tokenizer: Any, max_tokens: int) -> str:
    """The text cut to about ``max_tokens`` tokens: its head, a gap mark, its tail (ours).

    The tail keeps 40 %, since the end of a trace or an answer often decides its worth.
    """
    if len(text) <= max_tokens:
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
    """Token ids of the prompt for one record, ending where the student begins to write.

    With ``bins`` the statistics of the whole record stand below the cut view of its text.
    """
    fitted = fit_tokens(neutralise(text, tokenizer), tokenizer, max_record_tokens)
    if bins is not None:
        fitted += f"\n{describe(text, bins)}"
    messages = student_messages(fitted, family, anchors, style, rationales)
    rendered = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    return tokenizer.encode(rendered, add_special_tokens=False)


def add_student_tokens(tokenizer: Any, n_slots: int) -> None:
    """Give each slot mark and each statistic a token of its own: shorter, easier to learn (ours).

    For students that are trained from scratch; a published base keeps its own vocabulary.
    """
    tokenizer.add_tokens([f"[A{i}]" for i in range(1, n_slots + 1)] + statistic_tokens())
