"""What a stage's questions cost in all, and what of it this run paid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from mira.teacher.client import CallCounts
from mira.teacher.ladder import Outcome, count_rungs
from mira.teacher.pricing import Charge, Usage


def make_bill(outcomes: Sequence[Outcome[Any]], calls: CallCounts) -> dict[str, Any]:
    """Records, parse ladder, calls, tokens and money.

    ``tokens`` and ``money`` are of all replies, at the prices of the day they came; the ``paid_``
    ones are of this process alone. ``lost_calls`` may have been billed without a reply, at
    ``lost_money`` at most; ``unmetered_calls`` came without token counts and are charged at their
    most. ``repairs`` counts what the taken replies had to be forgiven, ``reasons`` why others
    were rejected.
    """
    used = sum((outcome.usage for outcome in outcomes), Usage())
    charged = sum((outcome.charge for outcome in outcomes), Charge())
    rungs = count_rungs(outcomes)
    return {
        "records": len(outcomes),
        "rejected": rungs["rejected"],
        "parse": rungs,
        "repairs": _count(name for outcome in outcomes for name in outcome.repairs),
        "reasons": _count(outcome.reason for outcome in outcomes if outcome.reason),
        "calls": calls.paid + calls.from_journal,
        "paid_calls": calls.paid,
        "journal_calls": calls.from_journal,
        "failed_calls": calls.failed,
        "retried_calls": calls.retried,
        "unmetered_calls": calls.unmetered,
        "lost_calls": calls.lost,
        "tokens": used.as_dict(),
        "paid_tokens": calls.usage.as_dict(),
        "money": charged.money,
        "paid_money": calls.charge.money,
        "lost_money": calls.lost_charge.money,
    }


def _count(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))
