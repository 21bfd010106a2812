"""Reading a judging request: the fenced record and what is asked about it.

Only what stands outside the fence counts. The fence is the first ``<record nonce>`` line and the
last ``</record nonce>`` line with the same nonce, so a record cannot close it or add slots.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mira.records import FAMILIES, Family

_OPEN = re.compile(r"^<record ([0-9a-f]{16})>$", re.MULTILINE)
_FAMILY = re.compile(r"^Family: (\w+)[ ]*$", re.MULTILINE)
_SLOT = re.compile(r"^\[(A\d+)\] (.+): <score>/10( — <reason>)?[ ]*$", re.MULTILINE)
_BARE_SLOT = re.compile(r"^\[(A\d+)\] <score>[ ]*$", re.MULTILINE)
_POINTS = re.compile(
    r'^Answer with one JSON object: \{"points".*?(?:exactly (\d+) points?)?\.?$', re.M
)


class RequestError(ValueError):
    """The messages are not a judging request; the text says what is missing."""


@dataclass(frozen=True)
class Slot:
    """One template line: its slot, the dimension's name and its definition (may be empty)."""

    slot: str
    name: str
    definition: str
    with_reason: bool
    with_name: bool = True


@dataclass(frozen=True)
class JudgingRequest:
    """A record to judge: by ``slots`` (anchored), or by ``n_points`` free dimensions."""

    text: str
    family: Family
    slots: tuple[Slot, ...]
    with_summary: bool
    n_points: int


def read_request(system: str, user: str) -> JudgingRequest:
    """Parse a system and a user message; raises RequestError."""
    opening = _OPEN.search(user)
    if opening is None:
        raise RequestError("no fence: expected a line '<record NONCE>' in the user message")
    closing = user.rfind(f"\n</record {opening[1]}>")
    if closing < opening.end():
        raise RequestError(f"the fence is not closed: expected a line '</record {opening[1]}>'")
    text = user[opening.end() + 1 : closing]
    before, after = user[: opening.start()], user[closing:]
    family = _read_family(before)
    slots = tuple(
        Slot(slot, name, _definition(system, slot, name), bool(reason))
        for slot, name, reason in _SLOT.findall(after)
    )
    if not slots:
        slots = tuple(
            Slot(slot, *_described(system, slot), with_reason=False, with_name=False)
            for slot in _BARE_SLOT.findall(after)
        )
    points = _POINTS.search(after)
    if not slots and points is None:
        raise RequestError("no template lines '[A1] name: <score>/10' and no request for points")
    n_points = int(points[1] or 15) if points and not slots else 0
    return JudgingRequest(text, family, slots, "\noverall:" in after, n_points)


def _read_family(before: str) -> Family:
    named = _FAMILY.findall(before)
    for family in FAMILIES:
        if named and named[-1] == family:
            return family
    raise RequestError(f"expected a line 'Family: {' | '.join(FAMILIES)}' before the record")


def _described(system: str, slot: str) -> tuple[str, str]:
    """Name and definition of a slot that the template does not name."""
    start = f"[{slot}] "
    line = next((line for line in system.splitlines() if line.startswith(start)), start)
    name, _, definition = line.removeprefix(start).partition(": ")
    return name, definition


def _definition(system: str, slot: str, name: str) -> str:
    start = f"[{slot}] {name}: "
    line = next((line for line in system.splitlines() if line.startswith(start)), start)
    return line.removeprefix(start)
