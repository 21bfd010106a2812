"""A small function with a doctest, and the bugs that can be planted in it.

``$names`` are filled from a vocabulary, so that one function is met under many names. No bug
makes a loop endless, since planted bugs are run in this process.
"""

from __future__ import annotations

import string
from dataclasses import dataclass

from mira.sampling.harvest.draw import Draw

NAMES: dict[str, tuple[str, ...]] = {
    "values": ("values", "numbers", "data", "readings", "xs"),
    "text": ("text", "line", "phrase", "sentence", "message"),
    "item": ("item", "x", "element", "entry"),
    "result": ("result", "out", "answer", "found"),
    "count": ("n", "count", "size", "limit"),
}


@dataclass(frozen=True)
class Bug:
    """A replacement that breaks the source, and why the original is right."""

    right: str
    wrong: str
    why: str


@dataclass(frozen=True)
class Buggy:
    """A sound function with a doctest, and its possible bugs."""

    name: str
    source: str
    bugs: tuple[Bug, ...]

    def filled(self, draw: Draw) -> Buggy:
        """The same function under drawn variable names."""
        words = {name: draw.pick(options) for name, options in NAMES.items()}

        def fill(text: str) -> str:
            return string.Template(text).substitute(words)

        bugs = tuple(Bug(fill(b.right), fill(b.wrong), fill(b.why)) for b in self.bugs)
        return Buggy(self.name, fill(self.source), bugs)


def function(name: str, source: str, *bugs: tuple[str, str, str]) -> Buggy:
    """A function with bugs as (right, wrong, why)."""
    return Buggy(name, source.strip("\n") + "\n", tuple(Bug(*bug) for bug in bugs))
