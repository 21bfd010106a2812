"""What a stage's questions cost in all, and what of it this run paid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mira.config import Prices
from mira.teacher.client import CallCounts
from mira.teacher.ladder import Outcome, count_rungs
from mira.teacher.pricing import Usage, cost


def make_bill(
    outcomes: Sequence[Outcome[Any]], calls: CallCounts, prices: Prices
) -> dict[str, Any]:
    """Records, parse ladder, calls, tokens and money; what was in the journal is not paid again."""
    used = sum((outcome.usage for outcome in outcomes), Usage())
    rungs = count_rungs(outcomes)
    return {
        "records": len(outcomes),
        "rejected": rungs["rejected"],
        "parse": rungs,
        "calls": calls.paid + calls.from_journal,
        "paid_calls": calls.paid,
        "journal_calls": calls.from_journal,
        "failed_calls": calls.failed,
        "retried_calls": calls.retried,
        "tokens": used.as_dict(),
        "paid_tokens": calls.usage.as_dict(),
        "money": cost(used, prices),
        "paid_money": cost(calls.usage, prices),
    }
