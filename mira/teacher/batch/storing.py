"""From a batch's results to replies in the journal, and what is left without one."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mira.teacher.batch.claims import Claim, Claims, Question
from mira.teacher.batch.following import Ending
from mira.teacher.batch.provider import BatchView, Problem
from mira.teacher.batch.results import Failure, Result, read_result
from mira.teacher.client import CallCounts, Reply, entry_of
from mira.teacher.endpoint import Completion
from mira.teacher.journal import CapReached, Hold, Journal
from mira.teacher.pricing import Charge, charge_of, worst_usage
from mira.teacher.progress import Progress
from mira.teacher.settings import TeacherSettings

_RESULTS_PER_BREATH = 1_000
_PUT_AT_ONCE = 10_000

logger = logging.getLogger(__name__)


@dataclass
class Stored:
    """Replies and failures of a batch's questions by their keys, and counts of its results.

    ``unmetered`` replies came without token counts and are charged at their most. ``superfluous``
    is what replies cost that had come another way meanwhile.
    """

    replies: dict[str, Reply] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    unmetered: set[str] = field(default_factory=set)
    superfluous: list[Charge] = field(default_factory=list)
    tally: Counter[str] = field(default_factory=Counter)


class Storer:
    """Puts the replies of ended batches into the journal and closes their claims."""

    def __init__(
        self,
        settings: TeacherSettings,
        journal: Journal,
        claims: Claims,
        progress: Progress,
        counts: CallCounts,
    ):
        self._settings = settings
        self._journal = journal
        self._claims = claims
        self._progress = progress
        self._counts = counts

    async def store(self, ending: Ending) -> Stored:
        """Store what an ended batch brought; returns when it is durable and the claim is closed.

        Malformed lines, unknown or repeated ids and missing results are counted in the log and in
        the claim's last file. Raises UserError when the journal cannot be written; the claim then
        stays open.
        """
        stored = Stored()
        view = ending.view
        if view is None:
            return stored
        await self._read_in(ending, stored)
        await self._put_all(ending.claim, stored)
        _fail_unanswered(ending, view, stored)
        await self._settle(ending, stored)
        summary = {"status": view.status, "results": dict(stored.tally)}
        self._claims.finish(ending.claim, summary)
        self._report(view, stored)
        return stored

    async def _read_in(self, ending: Ending, stored: Stored) -> None:
        questions = {question.key: question for question in ending.claim.questions}
        for path in ending.files:
            for results in _read_results(path):
                for result in results:
                    self._sort(result, questions, stored)
                await asyncio.sleep(0)

    def _sort(
        self, result: Result | None, questions: Mapping[str, Question], stored: Stored
    ) -> None:
        """Count a result and file it under its question."""
        if result is None or result.key not in questions:
            stored.tally["malformed" if result is None else "unknown"] += 1
            return
        key, outcome = result.key, result.outcome
        failed = isinstance(outcome, Failure)
        if key in stored.replies or (failed and key in stored.failures):
            stored.tally["duplicate"] += 1
        elif isinstance(outcome, Failure):
            stored.tally[outcome.reason] += 1
            stored.failures[key] = outcome
        else:
            stored.tally["replies"] += 1
            stored.failures.pop(key, None)
            stored.replies[key] = self._reply(questions[key], outcome)
            if outcome.usage is None:
                stored.unmetered.add(key)

    def _reply(self, question: Question, completion: Completion) -> Reply:
        """The reply at the batch's price."""
        longest = self._settings.max_reply_tokens()
        usage = completion.usage or worst_usage(question.most.tokens, longest)
        charge = shared_price(charge_of(usage, self._settings.prices), self._settings)
        known = question.key in self._journal
        return Reply(completion.text, usage, question.key, known, completion.finish_reason, charge)

    async def _put_all(self, claim: Claim, stored: Stored) -> None:
        """Put the replies into the journal, in the order in which a restart will look for them."""
        replies = [(q, reply) for q in claim.questions if (reply := stored.replies.get(q.key))]
        for start in range(0, len(replies), _PUT_AT_ONCE):
            some = replies[start : start + _PUT_AT_ONCE]
            puts = [self._put(q, reply, claim, stored) for q, reply in some]
            await asyncio.gather(*puts)

    async def _put(self, question: Question, reply: Reply, claim: Claim, stored: Stored) -> None:
        """Store a reply as a live call does, unless there is one."""
        if (known := self._journal.get(question.key)) is not None:
            if known.get("batch") != claim.batch_id:
                stored.superfluous.append(reply.charge)
            return
        metered = question.key not in stored.unmetered
        entry = entry_of(
            reply, self._settings.model, question.sample, metered=metered, batch=claim.batch_id
        )
        await self._journal.put(question.key, entry, reply.charge)
        self._counts.add_paid(reply, metered=metered)
        self._progress.add_paid(reply.charge)

    async def _settle(self, ending: Ending, stored: Stored) -> None:
        """Close the batch's hold: its cost is in its replies, and in what may have been billed."""
        if ending.hold is not None:
            await self._journal.release(ending.hold)
        failures = stored.failures
        billed = [
            question.most
            for question in ending.claim.questions
            if question.key in failures and failures[question.key].billed
        ]
        billed.extend(stored.superfluous)
        if billed:
            self._counts.lost += len(billed)
            self._counts.lost_charge += sum(billed, Charge())
            await self._lose(ending.claim, sum(billed, Charge()))
        await self._journal.flush()

    async def _lose(self, claim: Claim, most: Charge) -> None:
        try:
            hold = await self._journal.reserve(claim.digest, most)
        except CapReached:
            logger.warning("batch %s may have cost more than the cap allows", claim.batch_id)
        else:
            assert isinstance(hold, Hold), "no reply has a batch's name"
            await self._journal.lose(hold)

    def _report(self, view: BatchView, stored: Stored) -> None:
        level = logging.WARNING if stored.failures else logging.INFO
        counts = [f"{count:,} {kind}" for kind, count in sorted(stored.tally.items()) if count]
        said = ", ".join(counts) or "no results"
        logger.log(level, "%s: batch %s: %s", self._progress.label, view.id, said)
        if problems := _say_problems(view):
            logger.warning("%s: the provider says: %s", self._progress.label, problems)


def shared_price(charge: Charge, settings: TeacherSettings) -> Charge:
    """A charge at list price as the batch API bills it: ``price_share`` of the money."""
    return Charge(charge.money * settings.batch.price_share, charge.tokens)


def _read_results(path: Path) -> Iterator[list[Result | None]]:
    """The results in a file, some at a time."""
    with path.open("rb") as lines:
        while some := list(itertools.islice(lines, _RESULTS_PER_BREATH)):
            yield [read_result(line) for line in some if line.strip()]


def _fail_unanswered(ending: Ending, view: BatchView, stored: Stored) -> None:
    """Give every question without a result a reason."""
    by_line = {problem.line: problem for problem in view.problems if problem.line}
    # What an ended batch did not get to is not billed; a line that is lost or torn may be.
    torn = stored.tally["malformed"] + ending.lost_files > 0
    missing = Failure(
        "batch_failed" if view.status == "failed" else "missing_result",
        _say_problems(view) or f"the {view.status} batch {view.id} has no result for it",
        retry=True,
        billed=torn or view.status == "completed",
    )
    for number, question in enumerate(ending.claim.questions, start=1):
        if question.key in stored.replies or question.key in stored.failures:
            continue
        stored.tally["missing"] += 1
        problem = by_line.get(number)
        stored.failures[question.key] = _refusal(problem) if problem else missing


def _refusal(problem: Problem) -> Failure:
    return Failure("refused_by_endpoint", problem.message, retry=False, billed=False)


def _say_problems(view: BatchView) -> str:
    return "; ".join(f"{p.code}: {p.message}" for p in view.problems[:3])
