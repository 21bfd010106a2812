"""From questions to usable answers: strict parse, repaired, asked again, rejected. All counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from mira.errors import UserError
from mira.parsing import Status
from mira.prompts import Message, ask_again, prompt_hash
from mira.teacher.client import CallCounts, CallFailure, Reply, Request, ask_all
from mira.teacher.journal import Journal
from mira.teacher.pricing import Usage
from mira.teacher.progress import Progress
from mira.teacher.settings import TeacherSettings

Rung = Literal["strict", "repaired", "asked_again", "rejected"]
RUNGS: tuple[Rung, ...] = ("strict", "repaired", "asked_again", "rejected")

T = TypeVar("T")


@dataclass(frozen=True)
class Reading(Generic[T]):
    """A parsed reply: its value, and how many of the ``wanted`` parts were ``found``."""

    value: T
    status: Status
    found: int
    wanted: int
    problems: Sequence[str]

    @property
    def complete(self) -> bool:
        """Whether asking again could bring nothing more."""
        return self.status != "failed" and self.found == self.wanted


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """How one question ended. ``usage`` adds up all its replies; ``value`` is None if rejected."""

    rung: Rung
    value: T | None
    text: str | None
    prompt_hash: str
    usage: Usage
    reason: str | None = None
    detail: str | None = None


@dataclass(frozen=True)
class _First(Generic[T]):
    request: Request
    reply: Reply
    reading: Reading[T]


async def climb(
    questions: Iterable[list[Message]],
    total: int,
    read: Callable[[str], Reading[T]],
    settings: TeacherSettings,
    journal: Journal,
    progress: Progress,
) -> tuple[list[Outcome[T]], CallCounts]:
    """Outcomes of all ``total`` questions, in the order of the questions, and the calls made.

    A reply with parts missing is asked for once more (sample 1), with what was wrong appended; the
    reply with more parts is taken, the first one if they are equal. A question is rejected when no
    call succeeds or neither reply is usable. Raises UserError when more than
    ``settings.max_failed_share`` of the questions, and more than one, are rejected.
    """
    ladder: _Ladder[T] = _Ladder(read, total, settings)
    requests = (Request(number, messages) for number, messages in enumerate(questions))
    calls = await ask_all(requests, settings, journal, progress, ladder.handle)
    return [ladder.outcomes[number] for number in range(total)], calls


def count_rungs(outcomes: Iterable[Outcome[T]]) -> dict[str, int]:
    """Number of outcomes per rung, zeros included."""
    counts = Counter(outcome.rung for outcome in outcomes)
    return {rung: counts[rung] for rung in RUNGS}


class _Ladder(Generic[T]):
    def __init__(self, read: Callable[[str], Reading[T]], total: int, settings: TeacherSettings):
        self.outcomes: dict[int, Outcome[T]] = {}
        self._read = read
        self._total = total
        self._settings = settings
        self._firsts: dict[int, _First[T]] = {}
        self._rejected = 0

    def handle(self, request: Request, reply: Reply | CallFailure) -> Request | None:
        """Settle the question, or return the request that asks it again."""
        first = self._firsts.pop(request.ticket, None)
        if isinstance(reply, CallFailure):
            self._settle_failure(request, first, reply)
            return None
        reading = self._read(reply.text)
        if first is None and not reading.complete:
            self._firsts[request.ticket] = _First(request, reply, reading)
            return Request(request.ticket, ask_again(request.messages, reading.problems), sample=1)
        if first is None:
            self._accept(request, reply, reading, reply.usage)
        elif reading.found > first.reading.found:
            self._accept(request, reply, reading, first.reply.usage + reply.usage)
        else:
            self._accept(first.request, first.reply, first.reading, first.reply.usage + reply.usage)
        return None

    def _settle_failure(
        self, request: Request, first: _First[T] | None, failure: CallFailure
    ) -> None:
        if first is not None and first.reading.status != "failed":
            self._accept(first.request, first.reply, first.reading, first.reply.usage)
            return
        usage = first.reply.usage if first else Usage()
        self._reject(request, usage, failure.reason, failure.detail)

    def _accept(self, request: Request, reply: Reply, reading: Reading[T], usage: Usage) -> None:
        if reading.status == "failed":
            self._reject(request, usage, "unreadable_reply", _describe(reply, reading))
            return
        rung: Rung = reading.status if request.sample == 0 else "asked_again"
        self.outcomes[request.ticket] = Outcome(
            rung, reading.value, reply.text, prompt_hash(request.messages), usage
        )

    def _reject(self, request: Request, usage: Usage, reason: str, detail: str) -> None:
        self.outcomes[request.ticket] = Outcome(
            "rejected", None, None, prompt_hash(request.messages), usage, reason, detail
        )
        self._rejected += 1
        limit = max(1, self._settings.max_failed_share * self._total)
        if self._rejected > limit:
            raise UserError(
                f"{self._rejected} of {self._total} records got no usable reply, more than "
                f"teacher.max_failed_share={self._settings.max_failed_share:g} allows. The last "
                f"one: {reason}: {detail}. Replies so far are in the journal and are not asked "
                f"for again: check the endpoint {', '.join(self._settings.base_urls)}, or raise "
                f"the limit."
            )


def _describe(reply: Reply, reading: Reading[T]) -> str:
    cut = "; cut off at max_tokens" if reply.finish_reason == "length" else ""
    return f"{'; '.join(reading.problems)}{cut}"
