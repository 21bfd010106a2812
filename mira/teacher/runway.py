"""How many calls are held ready ahead of those that are sent (ours)."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

_WINDOW_S = 0.2
_READY_SHARE = 0.25


class Runway:
    """Lets so many calls take their holds as will be sent soon.

    A hold has to be on disk before its call is sent, which takes a commit; so some are taken ahead,
    or slots would stand empty. But a killed process loses what it holds, at the most that it may
    cost. Taken ahead is what two or three commits need: the replies of the last 0.2 s, and a
    quarter of ``concurrency``.
    """

    def __init__(self, concurrency: int, clock: Callable[[], float] = time.monotonic):
        self._always = concurrency + max(1, round(_READY_SHARE * concurrency))
        self._clock = clock
        self._on_it = 0
        self._replies: deque[float] = deque()
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> None:
        """Wait, in the order of coming, until another call may take its hold."""
        if not self._waiting and self._has_room():
            self._on_it += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave(replied=False)
            raise

    def leave(self, *, replied: bool) -> None:
        """A call has ended, or was never sent."""
        self._on_it -= 1
        if replied:
            self._replies.append(self._clock())
        while self._waiting and self._has_room():
            turn = self._waiting.popleft()
            if not turn.done():
                self._on_it += 1
                turn.set_result(None)

    def _has_room(self) -> bool:
        oldest = self._clock() - _WINDOW_S
        while self._replies and self._replies[0] < oldest:
            self._replies.popleft()
        return self._on_it < self._always + len(self._replies)
