"""The ledger: what each payer has spent, and what calls in flight may still cost.

A call is a *hold* from before it is sent until its end is known: settled at what it cost, released
if it was certainly not billed, or lost if it may have been. Holds of dead processes are lost.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from mira.teacher.pricing import Charge


class HoldId(NamedTuple):
    """A hold's name: the segment in which it was written, and its number there."""

    segment: str
    call: int


class Hold(NamedTuple):
    """The most that one call may cost, set aside for it."""

    id: HoldId
    key: str
    payer: str
    money: float
    tokens: int

    @property
    def most(self) -> Charge:
        """Money and tokens together."""
        return Charge(self.money, self.tokens)


@dataclass(frozen=True)
class Spending:
    """What a payer's calls cost: settled, perhaps billed without a reply, and in flight."""

    settled: Charge = field(default_factory=Charge)
    lost: Charge = field(default_factory=Charge)
    in_flight: Charge = field(default_factory=Charge)
    settled_calls: int = 0
    lost_calls: int = 0
    calls_in_flight: int = 0

    @property
    def total(self) -> Charge:
        """All of it: what a cap counts."""
        return self.settled + self.lost + self.in_flight


class _Sum:
    """A running sum. Mutable, for a journal of millions of lines is read through it."""

    __slots__ = ("calls", "money", "tokens")

    def __init__(self) -> None:
        self.money, self.tokens, self.calls = 0.0, 0, 0

    def add(self, money: float, tokens: int, calls: int = 1) -> None:
        self.money += money
        self.tokens += tokens
        self.calls += calls

    def charge(self) -> Charge:
        """Without calls there is nothing, whatever rounding has left."""
        return Charge(self.money, self.tokens) if self.calls else Charge()


class Ledger:
    """All holds and settled charges of a journal."""

    def __init__(self) -> None:
        self._open: defaultdict[str, dict[int, Hold]] = defaultdict(dict)
        self._lost: dict[HoldId, Hold] = {}
        self._adopted: set[HoldId] = set()
        self._settled_sum: defaultdict[str, _Sum] = defaultdict(_Sum)
        self._open_sum: defaultdict[str, _Sum] = defaultdict(_Sum)
        self._lost_sum: defaultdict[str, _Sum] = defaultdict(_Sum)

    def open(self, hold: Hold) -> None:
        """A call is about to be sent."""
        if hold.id not in self._adopted:
            self._open[hold.id.segment][hold.id.call] = hold
            self._open_sum[hold.payer].add(hold.money, hold.tokens)

    def release(self, hold_id: HoldId) -> None:
        """A call ended without a charge, or its charge is settled apart."""
        self._close(hold_id)

    def lose(self, hold_id: HoldId) -> None:
        """A call ended and may have been billed: it stays counted at its most."""
        if (hold := self._close(hold_id)) is not None:
            self._lost[hold_id] = hold
            self._lost_sum[hold.payer].add(hold.money, hold.tokens)

    def settle(self, payer: str, money: float, tokens: int, calls: int = 1) -> None:
        """Replies came and cost so much together."""
        self._settled_sum[payer].add(money, tokens, calls)

    def bury(self, segment: str) -> None:
        """The writer of a segment is dead: what it had in flight is lost."""
        for call in tuple(self._open.get(segment, ())):
            self.lose(HoldId(segment, call))
        self._open.pop(segment, None)

    def adopt(self, hold_ids: Iterable[HoldId]) -> None:
        """These holds, seen already or still to come, count no longer: others replace them."""
        for hold_id in hold_ids:
            self._adopted.add(hold_id)
            self._close(hold_id)
            if (hold := self._lost.pop(hold_id, None)) is not None:
                self._lost_sum[hold.payer].add(-hold.money, -hold.tokens, -1)

    def lost_holds(self, key: str | None = None) -> list[Hold]:
        """Holds whose outcome nobody knows: all of them, or those of one key."""
        return [hold for hold in self._lost.values() if key in (None, hold.key)]

    def asking(self, besides: str) -> set[str]:
        """Keys of the calls in flight in all segments but one."""
        others = (holds for segment, holds in self._open.items() if segment != besides)
        return {hold.key for holds in others for hold in holds.values()}

    def payers(self) -> list[str]:
        """Everyone who has spent or may spend something."""
        sums = (self._settled_sum, self._lost_sum, self._open_sum)
        return sorted({payer for by_payer in sums for payer, s in by_payer.items() if s.calls})

    def spending(self, payer: str) -> Spending:
        """Where a payer stands."""
        settled, lost = self._settled_sum[payer], self._lost_sum[payer]
        in_flight = self._open_sum[payer]
        return Spending(
            settled.charge(),
            lost.charge(),
            in_flight.charge(),
            settled.calls,
            lost.calls,
            in_flight.calls,
        )

    def _close(self, hold_id: HoldId) -> Hold | None:
        hold = self._open[hold_id.segment].pop(hold_id.call, None)
        if hold is not None:
            self._open_sum[hold.payer].add(-hold.money, -hold.tokens, -1)
        return hold
