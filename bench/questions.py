"""The questions that every contender asks: about 2.2 kB each, all different, made on the fly."""

from __future__ import annotations

import random

MODEL = "local"
MAX_TOKENS = 512

_RUBRIC_CHARS = 900
_RECORD_CHARS = 1_270
_TEXT_CHARS = 1_000_003


def make_text(characters: int, seed: int) -> str:
    """Text of made-up words, the same for the same seed."""
    rng = random.Random(seed)
    words = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(2, 10))) for _ in range(4_000)]
    text = " ".join(rng.choices(words, k=characters // 6))
    while len(text) < characters:
        text += " " + text
    return text[:characters]


class Questions:
    """Question number ``i`` in the time it takes to cut a string."""

    def __init__(self, seed: int = 0):
        self._rubric = make_text(_RUBRIC_CHARS, seed)
        self._text = make_text(_TEXT_CHARS, seed + 1)

    def messages(self, number: int) -> list[dict[str, str]]:
        """System and user message."""
        start = number * 7_919 % (_TEXT_CHARS - _RECORD_CHARS)
        record = self._text[start : start + _RECORD_CHARS]
        return [
            {"role": "system", "content": self._rubric},
            {"role": "user", "content": f"Record {number}\n{record}"},
        ]
