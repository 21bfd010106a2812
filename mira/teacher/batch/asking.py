"""Asking a teacher many questions through its provider's batch API, never the same one twice."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from mira.errors import UserError
from mira.teacher.batch.claims import Claim, Claims, Question, input_line
from mira.teacher.batch.following import Ending, Follower
from mira.teacher.batch.provider import Provider, open_provider
from mira.teacher.batch.results import Failure
from mira.teacher.batch.storing import Stored, Storer, shared_price
from mira.teacher.client import CallCounts, CallFailure, Handle, Reply, Request, reply_of
from mira.teacher.journal import CapReached, Journal
from mira.teacher.pricing import Charge, worst_charge
from mira.teacher.progress import Progress
from mira.teacher.settings import TeacherSettings

BATCHES_IN_FLIGHT = 64

_REPLAYED_PER_BREATH = 256
_LONGEST_PAUSE = 32

logger = logging.getLogger(__name__)


async def ask_in_batches(
    requests: Iterable[Request],
    settings: TeacherSettings,
    journal: Journal,
    progress: Progress,
    handle: Handle,
) -> CallCounts:
    """As ``mira.teacher.client.ask_all``, through the batch API of ``settings.base_urls[0]``.

    Replies have the keys of live ones, so either way finds what the other has paid. Questions are
    packed in their order into batches of at most ``settings.batch.max_requests`` and ``max_bytes``,
    as many at a time as the provider takes (at most BATCHES_IN_FLIGHT). What comes back without a
    reply, and what ``handle`` asks further, goes into later batches.

    A batch outlives this process: its claim is on disk before it is submitted, and the next call
    for this endpoint and model, in any process, fetches it instead of asking again. Where the cap
    leaves no room for a whole batch at its worst cost, its first questions that fit go alone, and
    the others once it is known what those cost. Raises UserError when the provider cannot be used,
    the journal cannot be written, or the next question does not fit under the cap.
    """
    async with open_provider(settings) as provider:
        asker = _Asker(settings, journal, progress, handle, provider)
        try:
            await asker.run(requests)
        except CapReached as error:
            raise UserError(
                f"{error} {progress.line()}. All replies are in the journal: raise teacher.cap and "
                f"start again, and nothing is asked twice."
            ) from error
        finally:
            await asker.leave()
            await journal.flush()
            progress.close()
    return asker.counts


@dataclass
class _Pack:
    """Questions on their way into one batch."""

    questions: list[Question] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)
    size: int = 0
    most: Charge = field(default_factory=Charge)

    def add(self, question: Question, request: Request, line: bytes) -> None:
        self.questions.append(question)
        self.requests.append(request)
        self.lines.append(line)
        self.size += len(line)
        self.most += question.most


class _Asker:
    """The state of one ``ask_in_batches``.

    A question that waits for its reply is in ``_waiting`` by its key, with the tickets of those who
    asked it, and either in a pack or in a followed claim. Only packs hold its text in memory.
    """

    def __init__(
        self,
        settings: TeacherSettings,
        journal: Journal,
        progress: Progress,
        handle: Handle,
        provider: Provider,
    ):
        self.counts = CallCounts()
        self._settings = settings
        self._longest_reply = settings.max_reply_tokens()
        self._journal = journal
        self._progress = progress
        self._handle = handle
        self._claims = Claims(journal.folder, settings.base_urls[0], settings.model)
        self._follower = Follower(settings, journal, self._claims, provider, progress.label)
        self._storer = Storer(settings, journal, self._claims, progress, self.counts)
        self._waiting: dict[str, list[int]] = {}
        self._tries: Counter[str] = Counter()
        self._pack = _Pack()
        self._ready: deque[_Pack] = deque()
        self._followed: dict[asyncio.Task[Ending], Claim] = {}
        self._claimed: dict[str, Claim] = {}
        self._known: dict[str, Claim] = {}
        self._most_in_flight = BATCHES_IN_FLIGHT
        self._max_requests = settings.batch.max_requests
        self._room: Charge | None = None
        self._times_full = 0

    async def run(self, requests: Iterable[Request]) -> None:
        """Settle all requests."""
        async with self._claims.locked():
            self._take_over()
        for number, request in enumerate(requests):
            if number % _REPLAYED_PER_BREATH == 0:
                await asyncio.sleep(0)
            self._ask(request, asked=False)
            await self._send_ready()
            while self._ready:
                await self._take_ended()
                await self._send_ready()
        while self._waiting:
            self._close_pack()
            await self._send_ready()
            if self._waiting:
                await self._take_ended()

    async def leave(self) -> None:
        """Stop following.

        Batches that go on at the provider are picked up by the next start; claims that have none
        are given up.
        """
        for task in self._followed:
            task.cancel()
        for ending in await asyncio.gather(*self._followed, return_exceptions=True):
            if isinstance(ending, Ending) and ending.hold is not None:
                await self._journal.lose(ending.hold)
        left = [c for c in self._followed.values() if c.batch_id and self._claims.is_open(c)]
        if left:
            logger.warning(
                "%s: batches that go on at the provider and are picked up by the next start: %s",
                self._progress.label,
                ", ".join(str(claim.batch_id) for claim in left),
            )
        for claim in self._known.values():
            if not claim.may_have_batch and self._claims.is_open(claim):
                self._claims.drop(claim)
            claim.close()

    # --- asking ----------------------------------------------------------------------------

    def _ask(self, request: Request, *, asked: bool) -> None:
        """Answer from the journal as far as it goes; let the rest wait for a batch."""
        pending: Request | None = request
        while pending is not None:
            key = self._key(pending)
            reply = self._look_up(key)
            if reply is None:
                self._wait_for(key, pending)
                return
            self.counts.from_journal += 1
            pending = self._handle(pending, reply)
        self._progress.finish_one(asked=asked)

    def _wait_for(self, key: str, request: Request) -> None:
        if key in self._waiting:
            self._waiting[key].append(request.ticket)
            return
        self._waiting[key] = [request.ticket]
        if (claim := self._claimed.get(key)) is not None:
            self._follow(claim)
        else:
            self._put_in_pack(key, request)

    def _put_in_pack(self, key: str, request: Request) -> None:
        body = self._settings.body(request.messages)
        most = worst_charge(len(body), self._longest_reply, self._settings.prices)
        question = Question(key, request.sample, shared_price(most, self._settings))
        line = input_line(key, body)
        if self._pack.questions and not self._has_place(question, line):
            self._close_pack()
        self._pack.add(question, request, line)

    def _has_place(self, question: Question, line: bytes) -> bool:
        pack, room = self._pack, self._room
        most = pack.most + question.most
        return (
            len(pack.questions) < self._max_requests
            and pack.size + len(line) <= self._settings.batch.max_bytes
            and (room is None or (most.money <= room.money and most.tokens <= room.tokens))
        )

    def _close_pack(self) -> None:
        if self._pack.questions:
            self._ready.append(self._pack)
            self._pack = _Pack()

    # --- sending ---------------------------------------------------------------------------

    async def _send_ready(self) -> None:
        while self._ready and self._in_flight() < self._most_in_flight:
            await self._send(self._ready.popleft())

    def _in_flight(self) -> int:
        return sum(claim.fresh for claim in self._followed.values())

    async def _send(self, pack: _Pack) -> None:
        """Claim what nobody has answered or claimed meanwhile, and follow the claim."""
        async with self._claims.locked():
            self._journal.refresh()
            self._take_over()
            unclaimed = [
                (question, line)
                for question, line in zip(pack.questions, pack.lines, strict=True)
                if question.key not in self._journal and question.key not in self._claimed
            ]
            if unclaimed:
                questions, lines = zip(*unclaimed, strict=True)
                claim = self._claims.make(self._journal.payer, questions, lines)
                self._note(claim)
                self._follow(claim)
        for question, request in zip(pack.questions, pack.requests, strict=True):
            if question.key in self._claimed:
                self._follow(self._claimed[question.key])
            else:
                self._ask_again(question.key, request)

    def _ask_again(self, key: str, request: Request) -> None:
        for ticket in self._waiting.pop(key):
            self._ask(Request(ticket, request.messages, request.sample), asked=False)

    def _take_over(self) -> None:
        """Learn of claims that others have made; follow those of this run. Needs the lock."""
        for claim in self._claims.find(self._known):
            self._note(claim)
            if claim.payer == self._journal.payer:
                self._follow(claim)

    def _note(self, claim: Claim) -> None:
        self._known[claim.digest] = claim
        self._claimed.update((question.key, claim) for question in claim.questions)

    def _follow(self, claim: Claim) -> None:
        if claim not in self._followed.values():
            delay_s = self._delay(claim) if claim.fresh else 0.0
            task = asyncio.create_task(self._follower.follow(claim, delay_s))
            self._followed[task] = claim

    def _delay(self, claim: Claim) -> float:
        """Seconds before a claim is submitted: longer the more often it was in vain."""
        pause = 0.0
        if self._times_full:
            pause = self._settings.batch.poll_s * min(2 ** (self._times_full - 1), _LONGEST_PAUSE)
        tries = max(self._tries[question.key] for question in claim.questions)
        if tries:
            longest = self._settings.backoff_s * 2 ** (tries - 1)
            pause = max(pause, min(longest, self._settings.backoff_max_s))
        return pause

    # --- taking in -------------------------------------------------------------------------

    async def _take_ended(self) -> None:
        """Wait until a batch has ended, and hand over what it brought."""
        await asyncio.wait(self._followed, return_when=asyncio.FIRST_COMPLETED)
        for task in [task for task in self._followed if task.done()]:
            await self._take(task)

    async def _take(self, task: asyncio.Task[Ending]) -> None:
        claim = self._followed[task]
        try:
            ending = task.result()
        except UserError as error:
            if any(question.key in self._waiting for question in claim.questions):
                raise
            logger.warning("a batch that is not needed here is left alone: %s", error)
            del self._followed[task]
            return
        stored = await self._storer.store(ending)
        del self._followed[task]
        self._learn(ending)
        try:
            self._deliver(ending, stored)
        finally:
            claim.close()

    def _learn(self, ending: Ending) -> None:
        """Fit the size and the number of batches to what the provider and the cap leave."""
        claim = ending.claim
        for question in claim.questions:
            self._claimed.pop(question.key, None)
        del self._known[claim.digest]
        if ending.room is not None:
            self._room = ending.room
        if not _queue_full(ending):
            self._times_full = 0
            self._most_in_flight = min(self._most_in_flight + 1, BATCHES_IN_FLIGHT)
            larger = self._max_requests + self._max_requests // 4 + 1
            self._max_requests = min(larger, self._settings.batch.max_requests)
        elif self._in_flight():
            self._most_in_flight = self._in_flight()
        else:
            self._times_full += 1
            self._max_requests = max(1, len(claim.questions) // 2)

    def _deliver(self, ending: Ending, stored: Stored) -> None:
        """Hand replies and failures to who waits for them; ask for the others again."""
        for question, messages in ending.claim.iter_messages():
            key = question.key
            if key not in self._waiting:
                continue
            request = Request(self._waiting[key][0], messages, question.sample)
            reply = stored.replies.get(key) or self._look_up(key)
            failure = stored.failures.get(key)
            if reply is not None:
                self._answer(request, reply)
            elif failure is None or _queue_full(ending):
                self._put_in_pack(key, request)
            elif failure.retry and self._tries[key] < self._settings.max_retries:
                self._tries[key] += 1
                self.counts.retried += 1
                self._put_in_pack(key, request)
            else:
                self._fail(key, request, failure)
        if ending.view is not None and ending.view.status == "cancelled":
            raise UserError(
                f"Batch {ending.view.id} was cancelled at the provider. Replies that it had "
                f"brought are in the journal; start again to ask for the others."
            )

    def _answer(self, request: Request, reply: Reply) -> None:
        """Hand a reply to everyone who asked for it; to all but the first it is not a paid one."""
        for ticket in self._waiting.pop(reply.key):
            self.counts.from_journal += reply.from_journal
            self._hand_over(Request(ticket, request.messages, request.sample), reply)
            reply = reply._replace(from_journal=True)

    def _fail(self, key: str, request: Request, failure: Failure) -> None:
        self.counts.failed += 1
        for ticket in self._waiting.pop(key):
            asked = Request(ticket, request.messages, request.sample)
            self._hand_over(asked, CallFailure(failure.reason, failure.detail))

    def _hand_over(self, request: Request, reply: Reply | CallFailure) -> None:
        further = self._handle(request, reply)
        if further is None:
            self._progress.finish_one(asked=True)
        else:
            self._ask(further, asked=True)

    def _look_up(self, key: str) -> Reply | None:
        entry = self._journal.get(key)
        return None if entry is None else reply_of(key, entry)

    def _key(self, request: Request) -> str:
        return self._settings.key(request.messages, request.sample)


def _queue_full(ending: Ending) -> bool:
    return ending.view is not None and ending.view.queue_full
