"""What of a record a student reads: all of it, its head and tail, windows, or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from mira.distillation.prompt import neutralise, split_windows

Policy = Literal["head_tail", "windows", "reject"]
View = Literal["whole", "cut", "windows", "rejected"]
VIEWS: tuple[View, ...] = ("whole", "cut", "windows", "rejected")


@dataclass(frozen=True)
class Viewed:
    """How a record is read, and the texts that are: none where it is rejected."""

    view: View
    texts: tuple[str, ...]


def view_record(
    text: str, tokenizer: Any, max_tokens: int, policy: Policy, max_windows: int
) -> Viewed:
    """The texts to read of one record; long is what takes more than ``max_tokens`` tokens.

    A text of the view ``cut`` is whole here: the prompt keeps its head and tail, as it did in
    training.
    """
    if not _is_long(text, tokenizer, max_tokens):
        return Viewed("whole", (text,))
    if policy == "reject":
        return Viewed("rejected", ())
    if policy == "windows":
        return Viewed("windows", tuple(split_windows(text, tokenizer, max_tokens, max_windows)))
    return Viewed("cut", (text,))


def _is_long(text: str, tokenizer: Any, max_tokens: int) -> bool:
    if len(text.encode()) <= max_tokens:
        return False
    encoded = tokenizer.encode(neutralise(text, tokenizer), add_special_tokens=False)
    return len(encoded) > max_tokens
