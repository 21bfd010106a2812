"""Asking a teacher many questions at once, never the same one twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson

from mira.prompts import Message
from mira.seeds import derive_rng
from mira.teacher.endpoint import CallError, Completion, Endpoint
from mira.teacher.journal import Journal, reply_key
from mira.teacher.pricing import Usage
from mira.teacher.progress import Progress
from mira.teacher.settings import TeacherSettings

_REPLAYED_PER_BREATH = 256
_WAITING_PER_SLOT = 8


@dataclass(frozen=True)
class Request:
    """One question; ``ticket`` is the caller's name for it, ``sample`` tells repeats apart."""

    ticket: int
    messages: list[Message]
    sample: int = 0


@dataclass(frozen=True)
class Reply:
    """A reply that is in the journal; ``key`` is its name there."""

    text: str
    usage: Usage
    key: str
    from_journal: bool
    finish_reason: str | None


@dataclass(frozen=True)
class CallFailure:
    """Every try of a call failed; ``reason`` is a short code, ``detail`` the last error."""

    reason: str
    detail: str


@dataclass
class CallCounts:
    """Calls of one ``ask_all``: paid now, found in the journal, given up, tried again.

    ``usage`` adds up the tokens of the paid ones.
    """

    paid: int = 0
    from_journal: int = 0
    failed: int = 0
    retried: int = 0
    usage: Usage = field(default_factory=Usage)


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
    when no call can succeed (missing or refused key, unknown model) or the journal cannot be
    written.
    """
    async with _open_endpoints(settings) as endpoints:
        asker = _Asker(settings, journal, progress, handle, endpoints)
        try:
            async with asyncio.TaskGroup() as tasks:
                await asker.start_all(requests, tasks)
        except ExceptionGroup as group:
            raise _first(group) from group
        finally:
            await journal.flush()
            progress.close()
    return asker.counts


class _Asker:
    """The state of one ``ask_all``."""

    def __init__(
        self,
        settings: TeacherSettings,
        journal: Journal,
        progress: Progress,
        handle: Handle,
        endpoints: list[Endpoint],
    ):
        self.counts = CallCounts()
        self._settings = settings
        self._identity = settings.identity()
        self._sampling = settings.sampling()
        self._journal = journal
        self._progress = progress
        self._handle = handle
        self._endpoints = endpoints
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._room = asyncio.Semaphore(settings.concurrency * _WAITING_PER_SLOT)
        self._being_asked: dict[str, asyncio.Event] = {}

    async def start_all(self, requests: Iterable[Request], tasks: asyncio.TaskGroup) -> None:
        """Settle from the journal what can be; start a task for each of the others."""
        for number, request in enumerate(requests):
            if number % _REPLAYED_PER_BREATH == 0:
                await asyncio.sleep(0)
            unanswered = self._replay(request)
            if unanswered is not None:
                await self._room.acquire()
                tasks.create_task(self._answer(unanswered))

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
                pending = self._handle(pending, await self._reply(pending))
            self._progress.finish_one(asked=True)
        finally:
            self._room.release()

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
        body = orjson.dumps(
            {"model": self._settings.model, "messages": request.messages, **self._sampling}
        )
        attempt = 0
        while True:
            try:
                async with self._slots:
                    completion = await self._least_loaded().complete(body)
            except CallError as error:
                if not error.retry or attempt == self._settings.max_retries:
                    self.counts.failed += 1
                    return CallFailure(error.reason, error.detail)
                await asyncio.sleep(self._delay(key, attempt, error.wait_s))
                self.counts.retried += 1
                attempt += 1
            else:
                return await self._store(key, request, completion)

    async def _store(self, key: str, request: Request, completion: Completion) -> Reply:
        entry = {
            "model": self._settings.model,
            "sample": request.sample,
            "text": completion.text,
            "finish_reason": completion.finish_reason,
            "usage": completion.usage.as_dict(),
            "time": round(time.time(), 3),
        }
        await self._journal.put(key, entry)
        self.counts.paid += 1
        self.counts.usage += completion.usage
        self._progress.add_tokens(completion.usage.total_tokens)
        return Reply(completion.text, completion.usage, key, False, completion.finish_reason)

    def _find(self, key: str) -> Reply | None:
        entry = self._journal.get(key)
        if entry is None:
            return None
        self.counts.from_journal += 1
        return Reply(entry["text"], Usage(**entry["usage"]), key, True, entry["finish_reason"])

    def _key(self, request: Request) -> str:
        return reply_key(self._settings.model, request.messages, self._identity, request.sample)

    def _least_loaded(self) -> Endpoint:
        return min(self._endpoints, key=lambda endpoint: endpoint.in_flight)

    def _delay(self, key: str, attempt: int, wait_s: float | None) -> float:
        """Seconds before the next try: what the endpoint asked for, or exponential; jittered."""
        jitter = float(derive_rng(0, "backoff", key, attempt).random())
        if wait_s is not None:
            return wait_s * (1 + 0.1 * jitter)
        longest = min(self._settings.backoff_s * 2**attempt, self._settings.backoff_max_s)
        return longest * (0.5 + 0.5 * jitter)


@asynccontextmanager
async def _open_endpoints(settings: TeacherSettings) -> AsyncIterator[list[Endpoint]]:
    endpoints = [Endpoint(url, settings) for url in settings.base_urls]
    try:
        yield endpoints
    finally:
        for endpoint in endpoints:
            await endpoint.close()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
