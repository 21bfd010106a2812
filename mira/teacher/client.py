"""Asking a teacher many questions at once, never the same one twice, never beyond the cap."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from mira.errors import UserError
from mira.prompts import Message
from mira.seeds import derive_rng
from mira.teacher.collecting import collecting_seldom
from mira.teacher.endpoint import CallError, Completion
from mira.teacher.journal import CapReached, Hold, Journal
from mira.teacher.pool import Pool, open_pool
from mira.teacher.pricing import Charge, Usage, charge_of, worst_charge, worst_usage
from mira.teacher.progress import Progress
from mira.teacher.runway import Runway
from mira.teacher.settings import TeacherSettings

_REPLAYED_PER_BREATH = 256
_WAITING_PER_SLOT = 12
_GRACE_S = 15.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """One question; ``ticket`` is the caller's name for it, ``sample`` tells repeats apart."""

    ticket: int
    messages: list[Message]
    sample: int = 0


class Reply(NamedTuple):
    """A reply that is in the journal; ``key`` is its name there, ``charge`` what it cost."""

    text: str
    usage: Usage
    key: str
    from_journal: bool
    finish_reason: str | None
    charge: Charge = Charge()


@dataclass(frozen=True)
class CallFailure:
    """Every try of a call failed; ``reason`` is a short code, ``detail`` the last error."""

    reason: str
    detail: str


@dataclass
class CallCounts:
    """Calls of one ``ask_all``: paid now, found in the journal, given up, tried again.

    ``usage`` and ``charge`` add up the paid ones. ``lost`` tries may have been billed without a
    reply, at ``lost_charge`` at most; ``unmetered`` replies came without token counts and are
    charged at their most.
    """

    paid: int = 0
    from_journal: int = 0
    failed: int = 0
    retried: int = 0
    lost: int = 0
    unmetered: int = 0
    usage: Usage = field(default_factory=Usage)
    charge: Charge = field(default_factory=Charge)
    lost_charge: Charge = field(default_factory=Charge)

    def add_paid(self, reply: Reply, *, metered: bool) -> None:
        """Count a reply that was paid for."""
        self.paid += 1
        self.unmetered += not metered
        self.usage += reply.usage
        self.charge += reply.charge


Handle = Callable[[Request, Reply | CallFailure], Request | None]


async def ask_all(
    requests: Iterable[Request],
    settings: TeacherSettings,
    journal: Journal,
    progress: Progress,
    handle: Handle,
) -> CallCounts:
    """Get a reply to every request, from the journal or from the endpoints.

    ``handle`` is called once per reply or failure and may return a further request, which is
    asked next. ``requests`` is read lazily. Replies are durable in the journal before ``handle``
    sees them. A call whose tries all fail reaches ``handle`` as a CallFailure. Raises UserError
    when no call can succeed (missing or refused key, unknown model), the journal cannot be
    written, or the cap is reached. However it ends, calls that have been sent are waited for, so
    that what was paid is kept.
    """
    async with open_pool(settings) as pool:
        asker = _Asker(settings, journal, progress, handle, pool)
        try:
            with collecting_seldom():
                await asker.ask(requests)
        except CapReached as error:
            raise UserError(f"{error} {_say_left(progress)}") from error
        finally:
            await journal.flush()
            progress.close()
    return asker.counts


def entry_of(
    reply: Reply, model: str, sample: int, *, metered: bool, **more: object
) -> dict[str, object]:
    """The journal's entry of a reply; ``metered``: the endpoint counted its tokens."""
    return {
        "model": model,
        "sample": sample,
        "text": reply.text,
        "finish_reason": reply.finish_reason,
        "usage": reply.usage.as_dict(),
        "metered": metered,
        **more,
        "time": round(time.time(), 3),
    }


def reply_of(key: str, entry: dict[str, object]) -> Reply:
    """The reply that a journal's entry holds."""
    return Reply(
        str(entry["text"]),
        Usage(**entry["usage"]),  # type: ignore[arg-type]
        key,
        True,
        entry["finish_reason"],  # type: ignore[arg-type]
        Charge(*entry["charge"]),  # type: ignore[misc]
    )


class _Asker:
    """The state of one ``ask_all``."""

    def __init__(
        self,
        settings: TeacherSettings,
        journal: Journal,
        progress: Progress,
        handle: Handle,
        pool: Pool,
    ):
        self.counts = CallCounts()
        self._settings = settings
        self._longest_reply = settings.max_reply_tokens()
        self._journal = journal
        self._progress = progress
        self._handle = handle
        self._pool = pool
        self._runway = Runway(settings.concurrency)
        self._room = asyncio.Semaphore(settings.concurrency * _WAITING_PER_SLOT)
        self._being_asked: dict[str, asyncio.Event] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._sending: dict[asyncio.Task[None], float] = {}  # and since when
        self._stopped: BaseException | None = None

    async def ask(self, requests: Iterable[Request]) -> None:
        """Settle every request, or raise what stopped it after the calls in flight have ended."""
        try:
            await self._start_all(requests)
            if self._tasks:
                await asyncio.wait(self._tasks)
        except BaseException as error:
            self._stop(error)
        if self._stopped is not None:
            await self._let_finish()
            raise self._stopped

    async def _start_all(self, requests: Iterable[Request]) -> None:
        """Settle from the journal what can be; start a task for each of the others."""
        for number, request in enumerate(requests):
            if number % _REPLAYED_PER_BREATH == 0:
                await asyncio.sleep(0)
            unanswered = self._replay(request)
            if unanswered is not None:
                await self._room.acquire()
                if self._stopped is not None:
                    return
                task = asyncio.create_task(self._answer(unanswered))
                self._tasks.add(task)
                task.add_done_callback(self._finish)

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._sending.pop(task, None)
        self._room.release()

    def _stop(self, error: BaseException) -> None:
        """Start nothing more; only calls that have been sent go on."""
        if self._stopped is not None:
            return
        self._stopped = error
        for task in self._tasks - self._sending.keys() - {asyncio.current_task()}:
            task.cancel()

    async def _let_finish(self) -> None:
        if self._tasks:
            logger.info("stopping; waiting for %d calls in flight", len(self._sending))
            await asyncio.wait(self._tasks, timeout=max(_GRACE_S, self._settings.timeout_s))
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _replay(self, request: Request) -> Request | None:
        """Answer from the journal as far as it goes; the first request it cannot answer."""
        pending: Request | None = request
        while pending is not None:
            reply = self._find(self._key(pending))
            if reply is None:
                return pending
            pending = self._handle(pending, reply)
        self._progress.finish_one(asked=False)
        return None

    async def _answer(self, request: Request) -> None:
        try:
            pending: Request | None = request
            while pending is not None:
                reply = await self._reply(pending)
                if self._stopped is not None:
                    return
                pending = self._handle(pending, reply)
            self._progress.finish_one(asked=True)
        except Exception as error:
            self._stop(error)

    async def _reply(self, request: Request) -> Reply | CallFailure:
        """The reply from the journal or a call; equal questions wait for the first one's reply."""
        key = self._key(request)
        while key in self._being_asked:
            await self._being_asked[key].wait()
        if found := self._find(key):
            return found
        answered = self._being_asked[key] = asyncio.Event()
        try:
            return await self._call(request, key)
        finally:
            del self._being_asked[key]
            answered.set()

    async def _call(self, request: Request, key: str) -> Reply | CallFailure:
        body = self._settings.body(request.messages)
        attempt = 0
        while True:
            outcome = await self._try_once(request, key, body)
            if not isinstance(outcome, CallError):
                return outcome
            over = attempt == self._settings.max_retries or self._stopped is not None
            if over or not outcome.retry:
                self.counts.failed += 1
                return CallFailure(outcome.reason, outcome.detail)
            await asyncio.sleep(self._delay(key, attempt, outcome.wait_s))
            self.counts.retried += 1
            attempt += 1

    async def _try_once(self, request: Request, key: str, body: bytes) -> Reply | CallError:
        """Hold the most that a call may cost, send it, and store its reply."""
        most = worst_charge(len(body), self._longest_reply, self._settings.prices)
        await self._runway.enter()
        outcome: Completion | CallError | None = None
        try:
            held = await self._journal.reserve(key, most)
            if not isinstance(held, Hold):
                self.counts.from_journal += 1
                return reply_of(key, held)
            outcome = await self._send(body, held)
        finally:
            self._runway.leave(replied=isinstance(outcome, Completion))
        if isinstance(outcome, CallError):
            return outcome
        return await self._store(key, request, outcome, held)

    async def _send(self, body: bytes, hold: Hold) -> Completion | CallError:
        """One call; its hold is ended unless there is a completion to store."""
        task = asyncio.current_task()
        assert task is not None
        try:
            return await self._pool.complete(
                body,
                hold.most.tokens,
                on_send=lambda: self._sending.update({task: time.monotonic()}),
            )
        except CallError as error:
            await self._end(hold, billed=error.billed)
            self._sending.pop(task, None)
            return error
        except BaseException:
            await self._end(hold, billed=task in self._sending)
            raise

    async def _end(self, hold: Hold, *, billed: bool) -> None:
        if billed:
            self.counts.lost += 1
            self.counts.lost_charge += hold.most
            await self._journal.lose(hold)
        else:
            await self._journal.release(hold)

    async def _store(self, key: str, request: Request, completion: Completion, hold: Hold) -> Reply:
        task = asyncio.current_task()
        assert task is not None
        seconds = time.monotonic() - self._sending[task]
        metered = completion.usage is not None
        usage = completion.usage or worst_usage(hold.tokens, self._longest_reply)
        charge = charge_of(usage, self._settings.prices)
        self._longest_reply = max(self._longest_reply, usage.completion_tokens)
        reply = Reply(completion.text, usage, key, False, completion.finish_reason, charge)
        entry = entry_of(
            reply, self._settings.model, request.sample, metered=metered, seconds=round(seconds, 3)
        )
        await self._journal.put(key, entry, charge, hold)
        self.counts.add_paid(reply, metered=metered)
        self._progress.add_paid(charge)
        self._sending.pop(task, None)
        return reply

    def _find(self, key: str) -> Reply | None:
        entry = self._journal.get(key)
        if entry is None:
            return None
        self.counts.from_journal += 1
        return reply_of(key, entry)

    def _key(self, request: Request) -> str:
        return self._settings.key(request.messages, request.sample)

    def _delay(self, key: str, attempt: int, wait_s: float | None) -> float:
        """Seconds before the next try: what the endpoint asked for, or exponential; jittered."""
        jitter = float(derive_rng(0, "backoff", key, attempt).random())
        if wait_s is not None:
            return wait_s * (1 + 0.1 * jitter)
        longest = min(self._settings.backoff_s * 2**attempt, self._settings.backoff_max_s)
        return longest * (0.5 + 0.5 * jitter)


def _say_left(progress: Progress) -> str:
    left = progress.total - progress.done
    more = ""
    if progress.asked and progress.money:
        more = f" (about {left * progress.money / progress.asked:,.4f} more at the rate so far)"
    return (
        f"{progress.label}: {progress.done:,} of {progress.total:,} records are finished, {left:,} "
        f"are left{more}. All replies are in the journal: raise teacher.cap and start again, and "
        f"nothing is asked twice."
    )
