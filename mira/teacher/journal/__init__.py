"""The journal of paid replies: stored before use, found by content, counted against a cap."""

from mira.teacher.journal.errors import CapReached, say_charge, say_spending
from mira.teacher.journal.ledger import Hold, Spending
from mira.teacher.journal.store import COMMIT_INTERVAL_S, Journal, reply_key

__all__ = [
    "COMMIT_INTERVAL_S",
    "CapReached",
    "Hold",
    "Journal",
    "Spending",
    "reply_key",
    "say_charge",
    "say_spending",
]
