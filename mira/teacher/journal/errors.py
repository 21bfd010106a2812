"""What can stop the journal, in words for the user."""

from __future__ import annotations

import errno
from pathlib import Path

from mira.config import Cap
from mira.errors import UserError
from mira.teacher.journal.ledger import Spending
from mira.teacher.pricing import Charge

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP)


class CapReached(UserError):
    """No call in flight can leave room for the next one under the cap."""

    def __init__(self, spending: Spending, cap: Cap, most: Charge):
        self.spending, self.cap, self.most = spending, cap, most
        super().__init__(
            f"The cap of this run is reached: {say_spending(spending)}, and the next call may cost "
            f"up to {say_charge(most)}; teacher.cap allows {_say_cap(cap)}."
        )


def say_charge(charge: Charge) -> str:
    """A charge in words: ``0.0123 (4,567 tokens)``."""
    return f"{charge.money:,.4f} ({charge.tokens:,} tokens)"


def say_spending(spending: Spending) -> str:
    """What is settled, and what may have been billed without a reply."""
    said = f"{say_charge(spending.settled)} are paid"
    if spending.lost.tokens:
        said += (
            f", {say_charge(spending.lost)} at most may have been billed for "
            f"{spending.lost_calls} calls whose replies were lost"
        )
    return said


def cannot(verb: str, folder: Path, error: OSError) -> UserError:
    """The error for a journal that cannot be read or written."""
    if error.errno in _FULL:
        remedy = "free some space there"
    elif error.errno in _NO_LOCKS:
        remedy = "its file system has no locks (flock): set teacher.journal to one that has"
    else:
        remedy = "check the folder and its permissions"
    return UserError(
        f"Cannot {verb} the journal of teacher replies in {folder}: {error.strerror or error}. "
        f"Replies stored before are intact; {remedy} and start again, nothing is asked twice."
    )


def _say_cap(cap: Cap) -> str:
    limits = []
    if cap.money is not None:
        limits.append(f"{cap.money:,.4f}")
    if cap.tokens is not None:
        limits.append(f"{cap.tokens:,} tokens")
    return " and ".join(limits) or "everything"
