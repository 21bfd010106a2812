"""All facets of the embedded teacher, how a name finds its facet, and the table for the docs.

``python -m mira.teacher.embedded.registry PATH`` writes the table to PATH.
"""

from __future__ import annotations

import sys
from functools import cache

from mira.io import write_text
from mira.records import Family
from mira.teacher.embedded import (
    facets_agent,
    facets_code,
    facets_content,
    facets_qa,
    facets_text,
    lexicon,
)
from mira.teacher.embedded.facet import Facet

FACETS: tuple[Facet, ...] = (
    facets_text.FACETS
    + facets_content.FACETS
    + facets_code.FACETS
    + facets_qa.FACETS
    + facets_agent.FACETS
)
DEFAULT_PATH = "docs/embedded-teacher.md"

_BY_NAME = {name.casefold(): facet for facet in FACETS for name in facet.names}
_LEAST_OVERLAP = 0.3
_DEFINITION_WEIGHT = 0.25

_INTRODUCTION = """# The embedded teacher

A rule-based judge behind a real HTTP server on loopback. It speaks the same chat protocol as a
language model, needs no network and no key, and gives the same reply to the same request. It is a
stand-in: it measures the text, it does not understand it. Everything made with it says so.

    python -m mira.teacher.embedded --port 0 --ready-file PATH --seed 0 [--noise 0.35] [--halo 0.6]

How it scores (all ours):

- A facet gives 0..10 for a record and says in a few words what it saw. A facet that has nothing to
  look at (no code, no tool call, too short) does not apply.
- The overall impression is the weighted mean of the applicable facets, less half the mean shortfall
  (typical score minus score) of the three facets marked "flaw" that fall shortest: one thing that
  is broken spoils a record.
- Halo: a dimension's score is (1 - halo) x facet + halo x overall, halo 0.6 by default.
- Noise: Gaussian, standard deviation 0.35, drawn from the seed, the record's text and the facet;
  a `seed` in the request is mixed in. Scores are then rounded to whole numbers.
- Free-form: the facets farthest from their typical score, with weight and chance, each under one of
  its names. Anchored: a name that the table knows finds its facet exactly, any other by the overlap
  of its words (and, a quarter as much, of its definition's words); a facet that does not apply, or
  a name that finds none, is scored from the overall impression and says so.
- Records above 12,000 characters: word-level measures look at head, middle and tail windows.
- Token counts in `usage` are characters divided by four.

The server listens on 127.0.0.1 only and ends on SIGTERM or when its parent process has gone.

"""


def find_facet(name: str, definition: str, family: Family) -> Facet | None:
    """The facet that a dimension name stands for, None if nothing resembles it.

    Exact synonym first; else the facet of this family whose names share most words with the
    name, the definition's words counting a quarter; ties go to the first in the table.
    """
    exact = _BY_NAME.get(" ".join(name.split()).casefold())
    if exact is not None:
        return exact
    asked, told = frozenset(lexicon.terms(name)), frozenset(lexicon.terms(definition))
    candidates = [facet for facet in FACETS if family in facet.families]
    likeness = [_likeness(facet, asked, told) for facet in candidates]
    best = max(likeness)
    return candidates[likeness.index(best)] if best >= _LEAST_OVERLAP else None


def _likeness(facet: Facet, asked: frozenset[str], told: frozenset[str]) -> float:
    names, description = _vocabulary(facet.key)
    by_name = max(2 * len(asked & name) / max(1, len(asked) + len(name)) for name in names)
    by_definition = len(told & description) / max(1, min(len(told), len(description)))
    return by_name + _DEFINITION_WEIGHT * by_definition


@cache
def _vocabulary(key: str) -> tuple[tuple[frozenset[str], ...], frozenset[str]]:
    facet = next(facet for facet in FACETS if facet.key == key)
    names = tuple(frozenset(lexicon.terms(name)) for name in facet.names)
    return names, frozenset(lexicon.terms(facet.measures)).union(*names)


def table() -> str:
    """The documentation page: how the teacher scores and one row per facet."""
    rows = [
        "| facet | other names | families | measures | weight | flaw |",
        "| --- | --- | --- | --- | --: | --- |",
    ]
    for facet in FACETS:
        first, *others = facet.names
        rows.append(
            f"| {first} | {', '.join(others)} | {', '.join(facet.families)} | {facet.measures}"
            f" | {facet.weight:g} | {'yes' if facet.flaw else ''} |"
        )
    return f"{_INTRODUCTION}## The {len(FACETS)} facets\n\n" + "\n".join(rows) + "\n"


if __name__ == "__main__":
    write_text(table(), sys.argv[1] if len(sys.argv) > 1 else DEFAULT_PATH)
