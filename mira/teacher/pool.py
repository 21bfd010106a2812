"""All endpoints of a teacher as one: slots, least load, limits, and what to do when one fails."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Literal

from mira.errors import UserError
from mira.teacher.endpoint import CallError, Completion, Endpoint
from mira.teacher.limits import Limits
from mira.teacher.settings import TeacherSettings

_FAILURES_IN_A_ROW = 3
_FAILING_S = 1.0
_FAILURES = {"connection", "timeout", "server_error", "malformed_response"}
_FIRST_PROBE_S = 0.5
_LONGEST_PROBE_INTERVAL_S = 30.0

logger = logging.getLogger(__name__)

_Health = Literal["in", "out", "awaiting_trial", "on_trial"]


@asynccontextmanager
async def open_pool(
    settings: TeacherSettings, *, probe_s: float = _FIRST_PROBE_S, failing_s: float = _FAILING_S
) -> AsyncIterator[Pool]:
    """The pool of ``settings.base_urls``; its connections are closed at the end of the block.

    ``probe_s`` is the first interval between probes of an endpoint that is out, ``failing_s`` how
    long nothing but failures must have come before it is. Raises UserError when a URL or the key
    cannot be used.
    """
    async with AsyncExitStack() as stack:
        members = []
        for base_url in settings.base_urls:
            members.append(_Member(base_url, settings, probe_s, failing_s))
            stack.push_async_callback(members[-1].endpoint.close)
        pool = Pool(members, settings)
        stack.push_async_callback(pool.close)
        yield pool


class Pool:
    """Sends calls to the least loaded endpoint that is healthy and whose limits allow it.

    At most ``settings.concurrency`` calls are in flight over all endpoints; the others wait in
    the order in which they came. An endpoint is out after three failures in a row (no connection,
    no answer in time, 5xx, an answer that is no completion) over at least a second, for a few calls
    may fail together: it gets no calls until it answers a probe, then a single one, and all again
    once it has answered that or a call sent before.
    """

    def __init__(self, members: Sequence[_Member], settings: TeacherSettings):
        self._members = members
        self._max_outage_s = settings.max_outage_s
        self._free = settings.concurrency
        self._waiting: deque[tuple[asyncio.Future[_Slot], int]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._given_up: str | None = None

    async def complete(
        self, body: bytes, tokens: int, on_send: Callable[[], None] | None = None
    ) -> Completion:
        """Send one request body as soon as it may be sent; a single try.

        ``tokens`` is the most that the call may use; ``on_send`` is called when the call has its
        slot, immediately before it is sent. Raises CallError when there is no usable reply,
        UserError when no call can succeed: an endpoint refuses the key or does not know the
        model, or none has answered for ``settings.max_outage_s``.
        """
        if self._given_up is not None:
            raise UserError(self._given_up)
        slot = None if self._waiting else self._take_slot(tokens)
        if slot is None:
            slot = await self._wait_for_slot(tokens)
        member, set_aside = slot
        try:
            if on_send is not None:
                on_send()
            completion = await member.endpoint.complete(body)
            if completion.usage is not None:
                member.limits.settle(tokens, set_aside, completion.usage.total_tokens)
            member.limits.speed_up()
            self._note_answer(member)
            return completion
        except CallError as error:
            self._note_error(member, error, set_aside)
            raise
        finally:
            self._release(member)

    async def close(self) -> None:
        """Stop probing."""
        if self._timer is not None:
            self._timer.cancel()
        probing = [member.probing for member in self._members if member.probing is not None]
        for task in probing:
            task.cancel()
        await asyncio.gather(*probing, return_exceptions=True)

    # --- slots ----------------------------------------------------------------------------------

    def _take_slot(self, tokens: int) -> _Slot | None:
        """A slot at the least loaded endpoint that may be asked; None when there is none."""
        if not self._free:
            return None
        best: _Member | None = None
        for member in self._members:
            if (best is None or member.load < best.load) and not member.wait_s(tokens):
                best = member
        if best is None:
            return None
        self._free -= 1
        return best, best.take(tokens)

    async def _wait_for_slot(self, tokens: int) -> _Slot:
        given: asyncio.Future[_Slot] = asyncio.get_running_loop().create_future()
        self._waiting.append((given, tokens))
        self._give_slots()
        try:
            return await given
        except asyncio.CancelledError:
            if given.done() and not given.cancelled() and given.exception() is None:
                member, set_aside = given.result()
                member.limits.give_back(set_aside, request=True)
                self._release(member)
            else:
                self._give_slots()
            raise

    def _give_slots(self) -> None:
        """Give slots to those who wait, in their order, as far as there are any."""
        while self._waiting:
            given, tokens = self._waiting[0]
            if not given.done():
                slot = self._take_slot(tokens)
                if slot is None:
                    self._wake_in_time(tokens)
                    return
                given.set_result(slot)
            self._waiting.popleft()

    def _wake_in_time(self, tokens: int) -> None:
        """Look again when an endpoint's limits allow the call, if nothing else has to end first."""
        wait_s = min(member.wait_s(tokens) for member in self._members) if self._free else math.inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if wait_s < math.inf:
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._give_slots)

    def _release(self, member: _Member) -> None:
        self._free += 1
        member.in_flight -= 1
        if member.health == "on_trial":  # its call was cancelled: nothing is known
            member.health = "awaiting_trial"
        if self._waiting:
            self._give_slots()

    # --- health ---------------------------------------------------------------------------------

    def _note_answer(self, member: _Member) -> None:
        member.failures = 0
        if member.health == "in":
            return
        if member.probing is not None:
            member.probing.cancel()
        logger.info("%s is back after %.1f s", member.endpoint.name, member.out_for())
        member.reset_health()

    def _note_error(self, member: _Member, error: CallError, set_aside: float) -> None:
        if not error.billed:
            member.limits.give_back(set_aside, request=False)
        if error.reason == "rate_limited":
            member.limits.slow_down(error.wait_s)
        if error.reason not in _FAILURES:
            self._note_answer(member)
            return
        member.count_failure(error)
        if member.health == "in" and member.is_failing():
            member.out_since = time.monotonic()
            logger.warning(
                "%s is out after %d failures in a row, the last: %s",
                *(member.endpoint.name, member.failures, error),
            )
            self._probe(member)
        elif member.health == "on_trial":
            self._probe(member)

    def _probe(self, member: _Member) -> None:
        member.health = "out"
        self._give_up_in_time()
        if self._given_up is None:
            member.probing = asyncio.create_task(self._probe_until_alive(member))

    async def _probe_until_alive(self, member: _Member) -> None:
        while self._given_up is None:
            left_s = self._outage_left_s()
            await asyncio.sleep(min(member.probe_s, left_s) if left_s > 0 else member.probe_s)
            member.probe_s = min(2 * member.probe_s, _LONGEST_PROBE_INTERVAL_S)
            if await member.endpoint.probe():
                member.health = "awaiting_trial"
                member.probing = None
                self._give_slots()
                return
            self._give_up_in_time()

    def _outage_left_s(self) -> float:
        """Seconds until every endpoint has been out for too long."""
        return self._max_outage_s - min(member.out_for() for member in self._members)

    def _give_up_in_time(self) -> None:
        """End all waiting when every endpoint has been out for too long and none can be tried."""
        can_be_tried = any(member.health == "awaiting_trial" for member in self._members)
        if self._outage_left_s() > 0 or can_be_tried or self._given_up is not None:
            return
        errors = "; ".join(f"{m.endpoint.name}: {m.last_error}" for m in self._members)
        self._given_up = (
            f"No endpoint of the teacher has answered for {self._max_outage_s:g} s "
            f"(teacher.max_outage_s). The last errors: {errors}. All replies so far are in the "
            f"journal. Check that the endpoints run, that this machine reaches them "
            f"(teacher.base_urls, HTTPS_PROXY) and that they answer within teacher.timeout_s; "
            f"then start again, and nothing is asked twice."
        )
        for given, _ in self._waiting:
            if not given.done():
                given.set_exception(UserError(self._given_up))
        self._waiting.clear()


class _Member:
    """An endpoint in the pool: its limits, its load and its health."""

    def __init__(self, base_url: str, settings: TeacherSettings, probe_s: float, failing_s: float):
        self.endpoint = Endpoint(base_url, settings, lambda headers: self.limits.heed(headers))
        self.limits = Limits(settings, self.endpoint.name)
        self.in_flight = 0
        self.last_error = ""
        self._sent = 0
        self._first_probe_s = probe_s
        self._failing_s = failing_s
        self.reset_health()

    def reset_health(self) -> None:
        """Healthy, with no failures to remember."""
        self.health: _Health = "in"
        self.failures = 0
        self.failing_since = math.inf
        self.out_since = math.inf
        self.probe_s = self._first_probe_s
        self.probing: asyncio.Task[None] | None = None

    def count_failure(self, error: CallError) -> None:
        """One more in a row."""
        if not self.failures:
            self.failing_since = time.monotonic()
        self.failures += 1
        self.last_error = str(error)

    def is_failing(self) -> bool:
        """Whether failures have come long enough, and none but failures."""
        enough = self.failures >= _FAILURES_IN_A_ROW
        return enough and time.monotonic() - self.failing_since >= self._failing_s

    @property
    def load(self) -> tuple[int, int]:
        """Calls in flight; among equals, those sent so far."""
        return self.in_flight, self._sent

    def wait_s(self, tokens: int) -> float:
        """Seconds until a call may be sent; infinite when something has to end first."""
        if self.health in ("out", "on_trial") or self.in_flight + 1 > self.limits.in_flight:
            return math.inf
        return self.limits.wait_s(tokens)

    def take(self, tokens: int) -> float:
        """Count a call that is about to be sent; returns the tokens set aside for it."""
        if self.health == "awaiting_trial":
            self.health = "on_trial"
        self.in_flight += 1
        self._sent += 1
        return self.limits.take(tokens)

    def out_for(self) -> float:
        """Seconds since the endpoint went out; negative infinity when it is not."""
        return time.monotonic() - self.out_since


_Slot = tuple[_Member, float]
"""A call's endpoint, and the tokens set aside for it."""
