"""What runs a student: the one interface behind transformers, vLLM and endpoints.

Every engine gets the same prompts and answers the same two questions: how probable is each score
in each slot, and what does the student write. So a student, a readout and a record give the same
scores whatever runs them, up to float noise (docs/scoring.md says how much).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from mira.prompts import Message
from mira.scoring.tokens import ScoreTokens


@dataclass(frozen=True)
class Prompt:
    """One record's prompt, as token ids and as the chat messages they render."""

    ids: tuple[int, ...]
    messages: tuple[Message, ...]


@dataclass(frozen=True)
class Skeleton:
    """The scores-only answer with its scores left open: lines of ``[A1] 8``.

    ``prefixes`` are the tokens of ``[Ai] `` per slot, ``separator`` those between a score and the
    next line.
    """

    slots: tuple[str, ...]
    prefixes: tuple[tuple[int, ...], ...]
    separator: tuple[int, ...]
    tokens: ScoreTokens

    def line(self, slot: int, score: int) -> list[int]:
        """Tokens of one finished line, its separator included."""
        return [*self.prefixes[slot], *self.tokens.ids(score), *self.separator]

    def written(self, scores: Sequence[int]) -> list[int]:
        """Tokens of the lines of the first ``len(scores)`` slots."""
        return [token for slot, score in enumerate(scores) for token in self.line(slot, score)]


@dataclass(frozen=True)
class Decoding:
    """How replies are written; without ``seeds`` greedily.

    ``seeds`` has one seed per prompt, so that a reply depends neither on its batch nor on when
    it was made.
    """

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seeds: tuple[int, ...] | None = None

    def parameters(self, row: int) -> dict[str, Any]:
        """Sampling parameters of one prompt, as vLLM and endpoints name them."""
        if self.seeds is None:
            return {"temperature": 0.0}
        return {"temperature": self.temperature, "top_p": self.top_p, "seed": self.seeds[row]}


@dataclass(frozen=True)
class Counters:
    """Tokens that an engine has handled since it was opened.

    ``cached_tokens`` are prompt tokens that a prefix cache spared, None where the engine has no
    such cache or does not say.
    """

    prompt_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int | None = None


class Engine(Protocol):
    """A loaded or served student.

    ``version`` names the library or the server, ``batch_size`` is how many records it likes to be
    handed, ``block_tokens`` the unit in which its prefix cache keeps, None where it has none.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def version(self) -> str: ...  # noqa: D102

    @property
    def batch_size(self) -> int: ...  # noqa: D102

    @property
    def block_tokens(self) -> int | None: ...  # noqa: D102

    def expected(self, prompts: Sequence[Prompt], skeleton: Skeleton) -> np.ndarray:
        """Probability of every score in every slot: float64 of shape (prompts, slots, 11).

        Slot by slot along the greedy scores-only answer: a slot is conditioned on the scores
        chosen before it. The score chosen is the most probable first token among the scores'
        first tokens; where that is the "1" of a split 10, then the more probable of "0" and the
        end of the line. Rows sum to 1; all NaN where the engine could not read a slot.
        """
        ...

    def write(self, prompts: Sequence[Prompt], decoding: Decoding) -> list[str | None]:
        """One reply per prompt; None where the engine gave none."""
        ...

    def counters(self) -> Counters:
        """What was handled so far."""
        ...

    def close(self) -> None:
        """Give back what the engine holds."""
        ...
