"""What a reply was read as, and the names of all that its reading had to put up with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["strict", "repaired", "failed"]

USABLE_SHARE = 0.5
"""A reply with fewer than this share of what was asked is unusable (ours)."""

RECOMMENDATIONS = ("keep", "downsample", "drop")

REPAIRS = {
    # Around the answer.
    "thinking": "thinking text before the answer was left out",
    "record_echo": "the fenced record was repeated in the reply and left out",
    "template_echo": "unfilled lines of the template were left out",
    "extra_text": "text beside the answer: greetings, headings, comments",
    "markup": "Markdown: bold, code, lists, tables, code fences, escapes",
    "full_width": "full-width or other non-ASCII digits, letters, brackets or signs",
    "white_space": "CRLF, blank lines, indentation, other spacing, zero-width characters",
    "reordered": "lines in another order than asked for",
    "repeated": "a line, or the whole answer, given more than once with the same content",
    # Within the line of a slot.
    "tag": "a slot id without its square brackets or in lower case",
    "no_name": "a slot line without the name of its dimension",
    "other_name": "a slot line with another name than its dimension's",
    "separator": "another sign than a colon, or none, before the score",
    "label": "a word or unit at the score: '8分', '8 points', 'score: 8'",
    "bare_score": "a score without '/10'",
    "decimal": "a score with decimals",
    "decimal_comma": "a score with a decimal comma",
    "out_of_words": "a score 'out of 10' in words",
    "dash": "another sign than a dash, or none, before the rationale",
    "no_reason": "a score without its rationale",
    # Summary lines.
    "summary_form": "a summary line in another form or language",
    "no_summary": "a summary line that is missing, unreadable or contradicted; it stays empty",
    # Slots that stay empty.
    "missing_slot": "no line for a slot",
    "unreadable_score": "a slot line without a readable score",
    "out_of_range": "a score below 0, above 10 or out of another number than 10",
    "score_range": "a range or a choice of scores in one line",
    "two_answers": "different scores for one slot or dimension",
    # Free-form replies.
    "not_alone": "not the JSON object alone: code fence, bare list, extra text, or cut",
    "trailing_comma": "a comma after the last member of a point",
    "text_score": "a score written as text, such as '8/10'",
    "invalid_points": "points without dimension, reason or a score from 0 to 10 were left out",
    "missing_points": "fewer points than asked for",
    "extra_points": "more points than asked for; the first ones were taken",
}
"""Everything that keeps a reply from being ``strict``, by name (ours). The list is closed."""


def in_order(repairs: Iterable[str]) -> tuple[str, ...]:
    """The repairs, each once, in the order of ``REPAIRS``."""
    found = set(repairs)
    return tuple(name for name in REPAIRS if name in found) if found else ()


@dataclass(frozen=True)
class PointsReply:
    """Judgment points ``{dimension, score, reason}`` of a free-form reply, and how it was read."""

    points: list[dict[str, Any]]
    status: Status
    problems: list[str]
    repairs: tuple[str, ...] = ()


@dataclass(frozen=True)
class AnchoredReply:
    """Scores (0-10, or None) and rationales by slot, and the summary lines.

    ``problems`` says in words what stays empty, to be told when asking again; ``repairs`` names
    all that kept the reply from being the filled template and nothing else.
    """

    scores: dict[str, float | None]
    rationales: dict[str, str | None]
    overall: float | None
    recommendation: str | None
    domain_tag: str | None
    brief: str | None
    status: Status
    problems: list[str] = field(default_factory=list)
    repairs: tuple[str, ...] = ()

    @property
    def n_scores(self) -> int:
        """Number of slots with a score."""
        return sum(score is not None for score in self.scores.values())
