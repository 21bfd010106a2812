"""Reading a teacher's or student's reply. Nothing is ever invented: what is unclear stays empty.

Slots are found by their id, never by their name or position: names repeat. What a reader had to
put up with is named in ``repairs``, from the closed list ``REPAIRS``.
"""

from mira.parsing.anchored import parse_anchored
from mira.parsing.points import parse_points
from mira.parsing.refusal import is_refusal
from mira.parsing.result import (
    RECOMMENDATIONS,
    REPAIRS,
    USABLE_SHARE,
    AnchoredReply,
    PointsReply,
    Status,
)
from mira.parsing.unsaid import answer_part

__all__ = [
    "RECOMMENDATIONS",
    "REPAIRS",
    "USABLE_SHARE",
    "AnchoredReply",
    "PointsReply",
    "Status",
    "answer_part",
    "is_refusal",
    "parse_anchored",
    "parse_points",
]
