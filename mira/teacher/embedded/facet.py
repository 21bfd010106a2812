"""What a facet is: one documented measurement of a record, with its names and its evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from mira.records import FAMILIES, Family
from mira.teacher.embedded.turns import Document

EVIDENCE_WORDS = 12


@dataclass(frozen=True)
class Finding:
    """A facet's score (0..10) for one record and what it saw there (at most 12 words)."""

    score: float
    evidence: str


Measure = Callable[[Document], Finding | None]


@dataclass(frozen=True)
class Facet:
    """One way to look at a record.

    ``names`` are what a free judge might call it; ``phrases`` are verdicts for a low, a middling
    and a high score; ``weight`` is its share in the overall score; a ``flaw`` is a facet whose low
    score means that something is broken; ``typical`` is the usual score of natural records.
    """

    key: str
    names: tuple[str, ...]
    families: tuple[Family, ...]
    measures: str
    phrases: tuple[str, str, str]
    weight: float
    flaw: bool
    typical: float
    measure: Measure

    def find(self, document: Document) -> Finding | None:
        """Score and evidence, or None where the facet does not apply to the record."""
        if document.family not in self.families:
            return None
        finding = self.measure(document)
        if finding is None:
            return None
        words = finding.evidence.split()[:EVIDENCE_WORDS]
        return Finding(min(10.0, max(0.0, finding.score)), " ".join(words))

    def score(self, document: Document) -> float | None:
        """The score alone, 0..10, or None where the facet does not apply."""
        finding = self.find(document)
        return None if finding is None else finding.score

    def evidence(self, document: Document) -> str | None:
        """The evidence alone, or None where the facet does not apply."""
        finding = self.find(document)
        return None if finding is None else finding.evidence

    def phrase(self, score: float) -> str:
        """The verdict in words that goes with a score."""
        low, middling, high = self.phrases
        return low if score < 4 else middling if score < 7 else high


def facet(
    *names: str,
    measures: str,
    phrases: tuple[str, str, str],
    families: tuple[Family, ...] = FAMILIES,
    weight: float = 1.0,
    flaw: bool = False,
    typical: float = 6.0,
) -> Callable[[Measure], Facet]:
    """Decorator that makes a facet of a measuring function; the function's name is the key."""

    def build(measure: Measure) -> Facet:
        key = measure.__name__
        return Facet(key, names, families, measures, phrases, weight, flaw, typical, measure)

    return build


def curve(value: float, *points: tuple[float, float]) -> float:
    """Piecewise-linear map through ``(value, score)`` points in rising order, flat outside."""
    if value <= points[0][0]:
        return points[0][1]
    for (x0, y0), (x1, y1) in pairwise(points):
        if value <= x1:
            return y0 + (y1 - y0) * (value - x0) / (x1 - x0)
    return points[-1][1]


def share(part: int, whole: int) -> float:
    """``part / whole``, and 0 for an empty whole."""
    return part / whole if whole else 0.0


def quote(text: str, limit: int = 28) -> str:
    """A short one-line quotation that cannot be mistaken for part of a reply's format."""
    line = "".join(char if char.isprintable() else " " for char in text)
    line = " ".join(line.translate(_PLAIN).split())
    return f"'{line[:limit].strip()}'"


_PLAIN = str.maketrans({"—": "-", "[": "(", "]": ")", "'": "", '"': ""})
