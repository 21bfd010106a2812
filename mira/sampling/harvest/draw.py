"""Seeded draws that return plain Python values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from mira.seeds import derive_rng

T = TypeVar("T")


class Draw:
    """Draws for one named task, on top of :func:`mira.seeds.derive_rng` (ours)."""

    def __init__(self, seed: int, *names: object) -> None:
        self._rng = derive_rng(seed, *names)

    def whole(self, low: int, high: int) -> int:
        """An integer from ``low`` to ``high``, both included."""
        return int(self._rng.integers(low, high + 1))

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return float(self._rng.random()) < probability

    def pick(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[self.whole(0, len(options) - 1)]

    def sample(self, options: Sequence[T], count: int) -> list[T]:
        """``count`` different options (all of them when there are fewer), in drawn order."""
        return self.shuffled(options)[:count]

    def shuffled(self, options: Sequence[T]) -> list[T]:
        """The options in drawn order."""
        return [options[int(i)] for i in self._rng.permutation(len(options))]

    def length(self, low: int, high: int) -> int:
        """A length between ``low`` and ``high``, uniform in its logarithm."""
        return round(low * (high / low) ** float(self._rng.random()))
