"""Progress as plain lines in a log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)


class Progress:
    """Says how far a task of ``total`` records is, at most one line every ``interval_s`` seconds.

    ``write`` takes one line and defaults to the module's logger. The rate and the time left count
    only records that were really asked, so a restart over a full journal does not flatter them.
    """

    def __init__(
        self,
        label: str,
        total: int,
        write: Callable[[str], None] = logger.info,
        interval_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.label = label
        self.total = total
        self.done = 0
        self.asked = 0
        self.tokens = 0
        self._write = write
        self._interval_s = interval_s
        self._clock = clock
        self._started = self._last = clock()

    def add_tokens(self, tokens: int) -> None:
        """Count the tokens of one paid reply."""
        self.tokens += tokens

    def finish_one(self, *, asked: bool) -> None:
        """Count one finished record; ``asked`` tells whether it took a call."""
        self.done += 1
        self.asked += asked
        if self._clock() - self._last >= self._interval_s and self.done < self.total:
            self._last = self._clock()
            self._write(self.line())

    def close(self) -> None:
        """Write the last line."""
        self._write(self.line())

    def line(self) -> str:
        """Where things stand: records, rate, tokens, time left."""
        elapsed = max(self._clock() - self._started, 1e-9)
        rate = self.asked / elapsed
        if self.done == self.total:
            left = f"done in {elapsed:.0f} s"
        else:
            left = f"{(self.total - self.done) / rate:.0f} s left" if rate else "time left unknown"
        return (
            f"{self.label}: {self.done:,} of {self.total:,} records, {rate:.1f}/s, "
            f"{self.tokens:,} tokens, {left}"
        )
