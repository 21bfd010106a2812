"""What one check says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["disagrees", "agrees", "not comparable", "not published", "not run"]
Kind = Literal[
    "published against published",
    "words against the table",
    "run against itself",
    "run against published",
]
VERDICTS: tuple[Verdict, ...] = (
    "disagrees",
    "agrees",
    "not comparable",
    "not published",
    "not run",
)
KINDS: tuple[Kind, ...] = (
    "published against published",
    "words against the table",
    "run against itself",
    "run against published",
)


@dataclass(frozen=True)
class Finding:
    """One claim, what was expected and found, the verdict, and how to check it by hand."""

    id: str
    kind: Kind
    claim: str
    expected: str
    found: str
    verdict: Verdict
    evidence: str
    place: str


def count_verdicts(findings: Iterable[Finding]) -> dict[str, int]:
    """Findings per verdict, every verdict named."""
    counts = Counter(finding.verdict for finding in findings)
    return {verdict: counts[verdict] for verdict in VERDICTS}
