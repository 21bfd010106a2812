"""How discovery and labelling ask about a record, and how they read the reply.

Whoever asks ahead of a stage, as its forecast does, asks in the same way, so that the calls, the
second ones too, have the journal keys that the stage will look up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from mira.parsing import AnchoredReply, parse_anchored, parse_points
from mira.prompts import Message, build_anchored, build_freeform, fit_text
from mira.records import Family
from mira.teacher.ladder import Reading

T = TypeVar("T")

Points = list[dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Asking(Generic[T]):
    """``build`` makes the prompt of a record's text, ``read`` reads a reply to it, given the
    record that the prompt shows."""

    build: Callable[[str, Family], list[Message]]
    read: Callable[[str, str], Reading[T]]


def ask_freely(n_dimensions: int, max_chars: int) -> Asking[Points]:
    """As discovery asks."""

    def build(text: str, family: Family) -> list[Message]:
        return build_freeform(fit_text(text, max_chars), family, n_dimensions)

    def read(text: str, record: str) -> Reading[Points]:
        reply = parse_points(text, n_dimensions, record=record)
        found = len(reply.points)
        return Reading(
            reply.points, reply.status, found, n_dimensions, reply.problems, reply.repairs
        )

    return Asking(build, read)


def ask_on_anchors(anchors: Sequence[Mapping[str, Any]], max_chars: int) -> Asking[AnchoredReply]:
    """As labelling asks with a group's anchors."""
    names = {anchor["slot"]: anchor["name"] for anchor in anchors}

    def build(text: str, family: Family) -> list[Message]:
        return build_anchored(fit_text(text, max_chars), family, anchors)

    def read(text: str, record: str) -> Reading[AnchoredReply]:
        reply = parse_anchored(text, list(names), names=names, record=record)
        return Reading(
            reply, reply.status, reply.n_scores, len(names), reply.problems, reply.repairs
        )

    return Asking(build, read)
