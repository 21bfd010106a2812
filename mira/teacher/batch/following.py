"""Following one batch from its claim to its results on this machine."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from pathlib import Path

from mira.errors import UserError
from mira.teacher.batch.claims import Claim, Claims
from mira.teacher.batch.provider import BatchView, NotCreated, Provider
from mira.teacher.journal import CapReached, Hold, Journal
from mira.teacher.pricing import Charge
from mira.teacher.settings import TeacherSettings

_LOOKS_FOR_FILES = 10

logger = logging.getLogger(__name__)


@dataclass
class Ending:
    """How a claim was followed to its end.

    ``view`` is the ended batch, None if there was none to follow to its end: another process did,
    or it was never made, or it does not fit under the cap, which leaves ``room``. ``hold`` is still
    open. ``files`` are the batch's results; ``lost_files`` others that the provider lost.
    """

    claim: Claim
    view: BatchView | None = None
    hold: Hold | None = None
    room: Charge | None = None
    files: list[Path] = field(default_factory=list)
    lost_files: int = 0


class Follower:
    """Submits batches, or finds them again, waits for them, and downloads their results."""

    def __init__(
        self,
        settings: TeacherSettings,
        journal: Journal,
        claims: Claims,
        provider: Provider,
        label: str,
    ):
        self._settings = settings
        self._journal = journal
        self._claims = claims
        self._provider = provider
        self._label = label

    async def follow(self, claim: Claim, delay_s: float = 0.0) -> Ending:
        """See a claim through, after a delay if it is asked again.

        A claim that another process follows is waited for. Raises UserError when the provider
        cannot be used, CapReached when not even the first question fits under the cap. Whatever is
        raised, the claim stays open, and a batch that was submitted goes on at the provider.
        """
        await asyncio.sleep(delay_s)
        await self._lock(claim)
        if not self._claims.is_open(claim):
            self._journal.refresh()
            return Ending(claim)
        try:
            hold = await self._reserve(claim)
        except CapReached as reached:
            return self._make_room(claim, reached)
        try:
            return await self._see_through(claim, hold)
        except BaseException as error:
            if isinstance(error, NotCreated):
                claim.file_id = None
            if hold is not None:
                lost = claim.may_have_batch
                await (self._journal.lose(hold) if lost else self._journal.release(hold))
            raise

    async def _lock(self, claim: Claim) -> None:
        if claim.try_lock():
            return
        batch = f"batch {claim.batch_id}" if claim.batch_id else "a batch"
        logger.info("%s: waiting for %s, which another process follows", self._label, batch)
        while not claim.try_lock():
            await asyncio.sleep(self._settings.batch.poll_s)

    async def _reserve(self, claim: Claim) -> Hold | None:
        """Set the most aside that the batch may still cost; None if it was paid beyond the cap."""
        unanswered = [q.most for q in claim.questions if q.key not in self._journal]
        most = sum(unanswered, Charge())
        try:
            hold = await self._journal.reserve(claim.digest, most, adopt=True)
        except CapReached:
            if claim.fresh:
                raise
            # An earlier process submitted it under another cap: fetching it spends nothing.
            return None
        assert isinstance(hold, Hold), "no reply has a batch's name"
        return hold

    def _make_room(self, claim: Claim, reached: CapReached) -> Ending:
        """Give the claim up in favour of smaller ones; raises CapReached if there can be none."""
        self._claims.drop(claim)
        room = _room(self._journal)
        first = claim.questions[0].most
        if first.money > room.money or first.tokens > room.tokens:
            raise CapReached(reached.spending, reached.cap, first) from None
        return Ending(claim, room=room)

    async def _see_through(self, claim: Claim, hold: Hold | None) -> Ending:
        view = await self._submit(claim)
        if view is None:
            if hold is not None:
                await self._journal.release(hold)
            self._claims.drop(claim)
            return Ending(claim)
        ending = Ending(claim, await self._wait(claim, view), hold)
        await self._download(ending)
        return ending

    async def _submit(self, claim: Claim) -> BatchView | None:
        """The claim's batch, found again or made; None if a dead process never made it."""
        if claim.batch_id is not None:
            return await self._look(claim)
        view = await self._provider.find(claim.digest, claim.file_id)
        if view is None and not claim.fresh:
            return None
        if view is None:
            name = f"{claim.digest}.jsonl"
            claim.file_id = await self._provider.upload(name, claim.content)
            self._claims.save(claim)
            view = await self._provider.create(claim.digest, claim.file_id)
        claim.batch_id = view.id
        self._claims.save(claim)
        return view

    async def _wait(self, claim: Claim, view: BatchView) -> BatchView:
        """The batch once it has ended, with a line in the log whenever it has got on."""
        said = None
        looks_for_files = 0
        while True:
            if (line := _say_state(view, len(claim.questions))) != said:
                logger.info("%s: %s", self._label, line)
                said = line
            looks_for_files += view.lacks_files
            if view.ended and not (view.lacks_files and looks_for_files < _LOOKS_FOR_FILES):
                return view
            await asyncio.sleep(self._settings.batch.poll_s)
            view = await self._look(claim)

    async def _look(self, claim: Claim) -> BatchView:
        assert claim.batch_id is not None
        view = await self._provider.look(claim.batch_id)
        if view is None:
            raise UserError(
                f"{self._settings.base_urls[0]} does not know batch {claim.batch_id}, which was "
                f"submitted there: check that the key is of the same account. If the batch is "
                f"really gone, remove {self._claims.folder / claim.digest}.json, and its questions "
                f"are asked, and paid, again."
            )
        return view

    async def _download(self, ending: Ending) -> None:
        assert ending.view is not None
        ids = (ending.view.output_file, ending.view.error_file)
        for file_id, path in zip(ids, ending.claim.result_paths, strict=True):
            if file_id is None:
                continue
            if await self._provider.download(file_id, path):
                ending.files.append(path)
            else:
                logger.warning("%s: %s is no longer at the provider", self._label, file_id)
                ending.lost_files += 1


def _room(journal: Journal) -> Charge:
    """What the cap leaves, when nothing is in flight."""
    cap, spent = journal.cap, journal.spending().total
    money = float("inf") if cap.money is None else cap.money - spent.money
    tokens = float("inf") if cap.tokens is None else cap.tokens - spent.tokens
    return Charge(money, tokens)  # type: ignore[arg-type]


def _say_state(view: BatchView, questions: int) -> str:
    done, total = view.completed + view.failed, view.total or questions
    return f"batch {view.id} {view.status}, {done:,} of {total:,} requests done"
