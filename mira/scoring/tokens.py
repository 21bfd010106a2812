"""How scores look to a tokenizer: the "10" trap.

Many tokenizers write 10 as "1","0". Then the first token alone cannot tell 1 from 10, and
reading only it turns every 10 into a 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mira.errors import UserError

SCORES = range(11)


@dataclass(frozen=True)
class ScoreTokens:
    """Token ids of the scores 0..10.

    ``first[s]`` is the first token of score s. Where 10 is two tokens, ``zero`` is its second
    token and ``end`` the token that follows a finished score; otherwise both are None.
    """

    first: tuple[int, ...]
    zero: int | None
    end: int | None

    @property
    def ten_is_split(self) -> bool:
        """Whether 10 takes two tokens."""
        return self.zero is not None

    @property
    def endings(self) -> list[int]:
        """What may follow a "1": the line's end, and the "0" of a 10; empty where 10 is whole."""
        return [] if self.zero is None or self.end is None else [self.end, self.zero]

    def ids(self, score: int) -> list[int]:
        """All tokens of a score."""
        if score == 10 and self.zero is not None:
            return [self.first[10], self.zero]
        return [self.first[score]]


def find_score_tokens(tokenizer: Any, line_prefix: str) -> ScoreTokens:
    """The score tokens as they appear after ``line_prefix`` and before the end of the line.

    Raises UserError where scores are tokenized in a way that cannot be read slot by slot.
    """
    prefix = encode(tokenizer, line_prefix)
    tails = {}
    for score in SCORES:
        whole = encode(tokenizer, f"{line_prefix}{score}\n")
        if whole[: len(prefix)] != prefix:
            raise _unreadable(line_prefix, score)
        tails[score] = whole[len(prefix) :]
    first = tuple(tails[score][0] for score in SCORES)
    if len(set(first[:10])) != 10:
        raise _unreadable(line_prefix, 0)
    if first[10] != first[1]:
        return ScoreTokens(first, None, None)
    return ScoreTokens(first, zero=tails[10][1], end=tails[1][1])


def encode(tokenizer: Any, text: str) -> list[int]:
    """Token ids of a text as it stands, without special tokens."""
    return list(tokenizer.encode(text, add_special_tokens=False))


def _unreadable(line_prefix: str, score: int) -> UserError:
    return UserError(
        f"This tokenizer does not keep the score {score} apart in '{line_prefix}{score}', so "
        "the readout 'expected' cannot be used with it: set scoring.readout to 'sample'."
    )
