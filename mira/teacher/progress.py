"""How far a task is: one live line on a terminal, plain lines in a log."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import TextIO

from mira.teacher.pricing import Charge

_LIVE_INTERVAL_S = 0.5
_ERASE_LINE = "\r\x1b[2K"

logger = logging.getLogger(__name__)


class Progress:
    """Says how far a task of ``total`` records is.

    ``write`` takes one line, at most every ``interval_s`` seconds, and defaults to the module's
    logger; ``terminal`` (stderr where it is one) shows a line that renews itself. The rate and the
    time left count only records that were really asked, so a restart over a full journal does not
    flatter them.
    """

    def __init__(
        self,
        label: str,
        total: int,
        write: Callable[[str], None] = logger.info,
        interval_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
        terminal: TextIO | None = None,
    ):
        self.label = label
        self.total = total
        self.done = 0
        self.asked = 0
        self.tokens = 0
        self.money = 0.0
        self._write = write
        self._interval_s = interval_s
        self._clock = clock
        self._terminal = terminal or (sys.stderr if sys.stderr.isatty() else None)
        self._started = self._last = self._last_live = clock()

    def add_paid(self, charge: Charge) -> None:
        """Count the tokens and the money of one paid reply."""
        self.tokens += charge.tokens
        self.money += charge.money

    def finish_one(self, *, asked: bool) -> None:
        """Count one finished record; ``asked`` tells whether it took a call."""
        self.done += 1
        self.asked += asked
        now = self._clock()
        if now - self._last >= self._interval_s and self.done < self.total:
            self._last = now
            self._say()
        elif self._terminal is not None and now - self._last_live >= _LIVE_INTERVAL_S:
            self._last_live = now
            self._terminal.write(_ERASE_LINE + self.line())
            self._terminal.flush()

    def close(self) -> None:
        """Write the last line."""
        self._say()

    def line(self) -> str:
        """Where things stand: records, rate, tokens, money, time left."""
        elapsed = max(self._clock() - self._started, 1e-9)
        rate = self.asked / elapsed
        if self.done == self.total:
            left = f"done in {elapsed:.0f} s"
        else:
            left = f"{(self.total - self.done) / rate:.0f} s left" if rate else "time left unknown"
        return (
            f"{self.label}: {self.done:,} of {self.total:,} records, {rate:.1f}/s, "
            f"{self.tokens:,} tokens and {self.money:,.4f} money paid, {left}"
        )

    def _say(self) -> None:
        if self._terminal is not None:
            self._terminal.write(_ERASE_LINE)
            self._terminal.flush()
        self._write(self.line())
