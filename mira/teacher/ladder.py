"""From questions to usable answers: strict parse, repaired, asked again, rejected. All counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from mira.errors import UserError
from mira.parsing import Status, answer_part, is_refusal
from mira.prompts import Message, ask_again, fenced_record, prompt_hash
from mira.teacher.batch import ask_in_batches
from mira.teacher.client import CallCounts, CallFailure, Reply, Request, ask_all
from mira.teacher.journal import Journal
from mira.teacher.pricing import Charge, Usage
from mira.teacher.progress import Progress
from mira.teacher.settings import TeacherSettings

Rung = Literal["strict", "repaired", "asked_again", "rejected"]
RUNGS: tuple[Rung, ...] = ("strict", "repaired", "asked_again", "rejected")

REASONS = {
    # No call brought a reply: the last try's reason.
    "timeout": "no reply in time",
    "connection": "the connection could not be opened, or was lost",
    "rate_limited": "the endpoint refused for its rate limit, again and again",
    "server_error": "the endpoint failed, again and again",
    "malformed_response": "what came was no chat completion",
    "refused_by_endpoint": "the endpoint refused the request itself",
    # A reply came, twice, and was unusable: the first one's reason.
    "empty_reply": "the reply had no text beside thoughts",
    "cut_off": "the reply ended at max_tokens before it was usable",
    "content_filter": "the provider's filter ended the reply",
    "refusal": "the teacher declined to judge",
    "unreadable_reply": "the reply held too few readable scores",
}
"""Why a record has no label (ours). The list is closed."""

_REMEDIES = {
    "cut_off": "raise teacher.max_tokens",
    "empty_reply": "raise teacher.max_tokens if the teacher thinks, else look at its endpoint",
    "content_filter": "switch the filter off at the provider, or choose another teacher",
    "refusal": "choose another teacher, or leave such records out",
    "unreadable_reply": "read some of the replies in the journal; the teacher may be too weak",
}

T = TypeVar("T")


@dataclass(frozen=True)
class Reading(Generic[T]):
    """A parsed reply: its value, and how many of the ``wanted`` parts were ``found``.

    ``problems`` are told when asking again; ``repairs`` name what kept the reply from being strict.
    """

    value: T
    status: Status
    found: int
    wanted: int
    problems: Sequence[str]
    repairs: Sequence[str] = ()

    @property
    def complete(self) -> bool:
        """Whether asking again could bring nothing more."""
        return self.status != "failed" and self.found == self.wanted


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """How one question ended.

    ``usage`` and ``charge`` add up all its replies; ``value`` is None if it was rejected, and then
    ``reason`` is one of ``REASONS``. ``repairs`` are those of the reply that was taken.
    """

    rung: Rung
    value: T | None
    text: str | None
    prompt_hash: str
    usage: Usage
    charge: Charge
    reason: str | None = None
    detail: str | None = None
    repairs: Sequence[str] = ()


@dataclass(frozen=True)
class _First(Generic[T]):
    request: Request
    reply: Reply
    reading: Reading[T]


async def climb(
    questions: Iterable[list[Message]],
    total: int,
    read: Callable[[str, str], Reading[T]],
    settings: TeacherSettings,
    journal: Journal,
    progress: Progress,
) -> tuple[list[Outcome[T]], CallCounts]:
    """Outcomes of all ``total`` questions, in the order of the questions, and the calls made.

    ``read`` gets a reply and the record that its question showed, which the reply may quote. A
    reply with parts missing is asked for once more (sample 1), with what was wrong appended; the
    reply with more parts is taken, the first one if they are equal. A question is rejected when no
    call succeeds or neither reply is usable. Raises UserError when more than
    ``settings.max_failed_share`` of the questions, and more than one, are rejected.
    """
    ladder: _Ladder[T] = _Ladder(read, total, settings)
    requests = (Request(number, messages) for number, messages in enumerate(questions))
    ask = ask_in_batches if settings.mode == "batch" else ask_all
    calls = await ask(requests, settings, journal, progress, ladder.handle)
    return [ladder.outcomes[number] for number in range(total)], calls


def count_rungs(outcomes: Iterable[Outcome[T]]) -> dict[str, int]:
    """Number of outcomes per rung, zeros included."""
    counts = Counter(outcome.rung for outcome in outcomes)
    return {rung: counts[rung] for rung in RUNGS}


class _Ladder(Generic[T]):
    def __init__(
        self, read: Callable[[str, str], Reading[T]], total: int, settings: TeacherSettings
    ):
        self.outcomes: dict[int, Outcome[T]] = {}
        self._read = read
        self._total = total
        self._settings = settings
        self._firsts: dict[int, _First[T]] = {}
        self._rejected: Counter[str] = Counter()

    def handle(self, request: Request, reply: Reply | CallFailure) -> Request | None:
        """Settle the question, or return the request that asks it again."""
        first = self._firsts.pop(request.ticket, None)
        if isinstance(reply, CallFailure):
            self._settle_failure(request, first, reply)
            return None
        reading = self._read(reply.text, fenced_record(request.messages[-1]["content"]))
        now = _First(request, reply, reading)
        if first is None and not reading.complete:
            self._firsts[request.ticket] = now
            return Request(request.ticket, ask_again(request.messages, reading.problems), sample=1)
        if first is None:
            self._accept(now, reply.usage, reply.charge)
        else:
            better = now if reading.found > first.reading.found else first
            usage, charge = first.reply.usage + reply.usage, first.reply.charge + reply.charge
            self._accept(better, usage, charge)
        return None

    def _settle_failure(
        self, request: Request, first: _First[T] | None, failure: CallFailure
    ) -> None:
        if first is not None:
            self._accept(first, first.reply.usage, first.reply.charge)
            return
        self._reject(request, Usage(), Charge(), failure.reason, failure.detail)

    def _accept(self, taken: _First[T], usage: Usage, charge: Charge) -> None:
        request, reply, reading = taken.request, taken.reply, taken.reading
        if reading.status == "failed":
            reason = _why_unusable(reply)
            self._reject(request, usage, charge, reason, _describe(reply, reading))
            return
        self.outcomes[request.ticket] = Outcome(
            rung=reading.status if request.sample == 0 else "asked_again",
            value=reading.value,
            text=reply.text,
            prompt_hash=prompt_hash(request.messages),
            usage=usage,
            charge=charge,
            repairs=reading.repairs,
        )

    def _reject(
        self, request: Request, usage: Usage, charge: Charge, reason: str, detail: str
    ) -> None:
        self.outcomes[request.ticket] = Outcome(
            rung="rejected",
            value=None,
            text=None,
            prompt_hash=prompt_hash(request.messages),
            usage=usage,
            charge=charge,
            reason=reason,
            detail=detail,
        )
        self._rejected[reason] += 1
        if self._rejected.total() > max(1, self._settings.max_failed_share * self._total):
            raise UserError(self._say_too_many(f"{reason}: {detail}"))

    def _say_too_many(self, last: str) -> str:
        counts = self._rejected.most_common()
        endpoints = f"check the endpoint {', '.join(self._settings.base_urls)}"
        return (
            f"{self._rejected.total():,} of the {len(self.outcomes):,} records finished so far "
            f"(of {self._total:,}) got no usable reply, more than teacher.max_failed_share="
            f"{self._settings.max_failed_share:g} of all allows. Reasons: "
            f"{', '.join(f'{reason} ({n:,})' for reason, n in counts)}. The last one was {last}. "
            f"What to do: {_REMEDIES.get(counts[0][0], endpoints)}; or raise the limit. Replies so "
            f"far are in the journal and are not asked for again."
        )


def _why_unusable(reply: Reply) -> str:
    if reply.finish_reason == "content_filter":
        return "content_filter"
    if reply.finish_reason == "length":
        return "cut_off"
    answer = answer_part(reply.text).strip()
    if not answer:
        return "empty_reply"
    return "refusal" if is_refusal(answer) else "unreadable_reply"


def _describe(reply: Reply, reading: Reading[T]) -> str:
    cut = "; cut off at max_tokens" if reply.finish_reason == "length" else ""
    return f"{'; '.join(reading.problems)}{cut}"
