"""The journal: every paid reply, durable before it is used, found again by its content.

A folder of segments (see ``segment``), so that several runs and processes may use one folder at
once. Lines are JSON objects:

    {"key", "call", "payer", "hold": [money, tokens]}     a call is about to be sent
    {"key", "call", "payer", "charge": [...], "text", ...} its reply: the only lines with a text
    {"key", "call", "end": "released" | "lost"}           it ended without a reply
    {"adopts": [[segment, call], ...]}                    holds that count no longer

``key`` is the hash of what was asked. What arrives within one commit interval shares one write
and one flush to disk. Nothing is ever rewritten, so a kill at any moment can only leave a torn
last frame, which readers skip.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from mira.config import Cap
from mira.teacher.collecting import collecting_seldom
from mira.teacher.journal.errors import CapReached, cannot
from mira.teacher.journal.ledger import Hold, HoldId, Ledger, Spending
from mira.teacher.journal.segment import SegmentWriter, iter_frames
from mira.teacher.journal.shelf import LINES_PER_FRAME, Shelf
from mira.teacher.pricing import Charge

COMMIT_INTERVAL_S = 0.05
LOCK_FILE = ".lock"
IN_USE_FILE = ".in_use"
COMPACTED = "compacted-"

_PARKED_INTERVAL_S = 0.2
_ROUNDING = 1e-9

logger = logging.getLogger(__name__)


def reply_key(
    model: str, messages: Sequence[Mapping[str, Any]], params: Mapping[str, Any], sample: int
) -> str:
    """32 hex digits naming a question: the hash of everything that decides its reply."""
    canonical = orjson.dumps([model, messages, params, sample], option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(canonical, digest_size=16).hexdigest()


@dataclass
class _Line:
    """Something to write, who waits for it, and what it does to the ledger."""

    data: bytes
    written: asyncio.Future[None]
    key: str | None = None
    payer: str = ""
    charge: Charge | None = None
    closes: HoldId | None = None
    lost: bool = False


@dataclass
class _Ask:
    """A reservation that waits for its answer."""

    key: str
    most: Charge
    adopt: bool
    granted: asyncio.Future[Hold | None]


class Journal:
    """Replies by key in ``folder``, which is made if need be, and what they cost.

    ``payer`` is who pays for the calls of this object: a run. ``cap`` limits what the payer spends
    in all, over every process and every restart; a call counts at its most before it is sent.
    Opening reads every segment once and keeps only positions in memory. Raises UserError where the
    folder cannot be made or read. ``shared=False`` is for who has locked the others out.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        payer: str = "",
        cap: Cap | None = None,
        shared: bool = True,
    ):
        self.folder = Path(folder)
        self.payer = payer
        self.cap = cap or Cap()
        self._shelf = Shelf(self.folder)
        self._index: dict[bytes, int] = {}
        self._ledger = Ledger()
        self._lines: list[_Line] = []
        self._asks: list[_Ask] = []
        self._parked: list[_Ask] = []
        self._committer: asyncio.Task[None] | None = None
        self._last_commit = 0.0
        self._own: SegmentWriter | None = None
        self._calls = 0
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            writable = os.access(self.folder, os.W_OK)
            if shared and writable:
                self._in_use = _hold_lock(self.folder / IN_USE_FILE, fcntl.LOCK_SH)
            with collecting_seldom():
                self._scan_all()
            self.refresh()
        except OSError as error:
            raise cannot("read", self.folder, error) from error

    # --- reading ---------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, key: str) -> bool:
        return bytes.fromhex(key) in self._index

    def get(self, key: str) -> dict[str, Any] | None:
        """The entry stored under the key, or None."""
        place = self._index.get(bytes.fromhex(key))
        return None if place is None else orjson.loads(self._shelf.line(place))

    def iter_entries(self) -> Iterator[dict[str, Any]]:
        """Every entry once, in the order of segments and lines."""
        for place in sorted(self._index.values()):
            yield orjson.loads(self._shelf.line(place))

    def refresh(self) -> None:
        """Take in what other processes have written since the last look, and who has died."""
        if os.access(self.folder, os.W_OK):
            with self._locked():
                self._scan_living()

    def spending(self, payer: str | None = None) -> Spending:
        """What the payer (None: this journal's own) has spent and may be spending."""
        return self._ledger.spending(self.payer if payer is None else payer)

    def payers(self) -> list[str]:
        """Everyone who has spent something from this folder."""
        return self._ledger.payers()

    def lost_holds(self) -> list[Hold]:
        """Calls that may have been billed without a reply."""
        return self._ledger.lost_holds()

    def damaged(self) -> list[tuple[Path, int]]:
        """Segments and offsets of frames that cannot be read; what they held is asked again."""
        return self._shelf.damaged()

    # --- writing ---------------------------------------------------------------------------

    async def reserve(
        self, key: str, most: Charge, *, adopt: bool = False
    ) -> Hold | dict[str, Any]:
        """Set ``most`` aside for a call, durably; or the entry, if another process has got it.

        Waits while another living process is asking the same, and while there is no room under
        the cap but calls in flight may still leave some. ``adopt`` takes over holds of the same
        key that dead processes have left, so that they count no longer. Raises CapReached when
        there is no room and nothing in flight, UserError when the folder cannot be written.
        """
        ask = _Ask(key, most, adopt, asyncio.get_running_loop().create_future())
        self._asks.append(ask)
        self._wake()
        try:
            hold = await ask.granted
        except asyncio.CancelledError:
            if (unused := _given(ask.granted)) is not None:
                self._end(unused, "released")
            raise
        if hold is not None:
            return hold
        entry = self.get(key)
        assert entry is not None, "an answered question is in the index"
        return entry

    async def put(
        self,
        key: str,
        entry: Mapping[str, Any],
        charge: Charge | None = None,
        hold: Hold | None = None,
    ) -> None:
        """Store an entry, closing its hold; returns when it is on disk.

        Raises UserError naming the folder when it cannot be written (full disk, no permission);
        what was stored before stays readable.
        """
        charge = charge or Charge()
        payer = hold.payer if hold else self.payer
        call = {"call": hold.id.call} if hold else {}
        paid = {"payer": payer, "charge": [charge.money, charge.tokens]}
        data = orjson.dumps({"key": key, **call, **paid, **entry})
        closes = hold.id if hold else None
        await self._write_line(data, key=key, payer=payer, charge=charge, closes=closes)

    async def release(self, hold: Hold) -> None:
        """The call was certainly not billed. Returns at once; written with the next commit."""
        self._end(hold, "released")

    async def lose(self, hold: Hold) -> None:
        """The call may have been billed: the hold stays counted. Returns at once."""
        self._end(hold, "lost")

    async def flush(self) -> None:
        """Wait until everything handed over so far is on disk."""
        if self._lines or (self._committer is not None and not self._committer.done()):
            await self._write_line(b"")

    def close(self) -> None:
        """Close all files; calls still in flight count as lost. It can still be used afterwards."""
        self._shelf.close()
        if self._own is not None:
            self._shelf.bury(self._own.path)
            self._ledger.bury(self._own.path.name)
            self._own.close()
            self._own = None

    def _end(self, hold: Hold, end: str) -> None:
        data = orjson.dumps({"key": hold.key, "call": hold.id.call, "end": end})
        written = asyncio.get_running_loop().create_future()
        written.add_done_callback(lambda future: future.cancelled() or future.exception())
        self._lines.append(_Line(data, written, closes=hold.id, lost=end == "lost"))
        self._wake()

    async def _write_line(self, data: bytes, **effects: Any) -> None:
        line = _Line(data, asyncio.get_running_loop().create_future(), **effects)
        self._lines.append(line)
        self._wake()
        await line.written

    # --- committing ------------------------------------------------------------------------

    def _wake(self) -> None:
        if self._committer is None or self._committer.done():
            self._committer = asyncio.create_task(self._commit_all())

    async def _commit_all(self) -> None:
        while self._lines or self._asks or self._parked:
            fresh = bool(self._lines or self._asks)
            interval = COMMIT_INTERVAL_S if fresh else _PARKED_INTERVAL_S
            await asyncio.sleep(self._last_commit + interval - time.monotonic())
            lines, self._lines = self._lines, []
            asks = [ask for ask in (*self._parked, *self._asks) if not ask.granted.done()]
            self._parked, self._asks = [], []
            try:
                answers = await asyncio.to_thread(self._commit, lines, asks)
            except Exception as error:  # whatever it is, those who wait must hear of it
                self._tell_failure(lines, asks, error)
            else:
                self._tell(lines, asks, answers)
            self._last_commit = time.monotonic()

    def _tell(
        self, lines: list[_Line], asks: list[_Ask], answers: list[Hold | CapReached | str]
    ) -> None:
        for line in lines:
            if not line.written.done():
                line.written.set_result(None)
        for ask, answer in zip(asks, answers, strict=True):
            if ask.granted.done():
                if isinstance(answer, Hold):
                    self._end(answer, "released")
            elif isinstance(answer, Hold):
                ask.granted.set_result(answer)
            elif isinstance(answer, CapReached):
                ask.granted.set_exception(answer)
            elif answer == "answered":
                ask.granted.set_result(None)
            else:
                self._parked.append(ask)

    def _tell_failure(self, lines: list[_Line], asks: list[_Ask], error: Exception) -> None:
        problem = cannot("write", self.folder, error) if isinstance(error, OSError) else error
        for line in lines:
            if not line.written.done():
                line.written.set_exception(problem)
        for ask in asks:
            if not ask.granted.done():
                ask.granted.set_exception(problem)

    def _commit(self, lines: list[_Line], asks: list[_Ask]) -> list[Hold | CapReached | str]:
        """Write the lines, then decide the asks under the lock that all processes share."""
        try:
            with self._locked():
                self._scan_living()
                self._append_lines([line for line in lines if line.data])
                asked_elsewhere = self._ledger.asking(besides=self._own_name())
                answers = [self._decide(ask, asked_elsewhere) for ask in asks]
                self._append_holds(asks, answers)
                if self._own is not None:
                    self._own.sync()
        except OSError:
            self.close()
            raise
        return answers

    def _append_lines(self, lines: list[_Line]) -> None:
        for start in range(0, len(lines), LINES_PER_FRAME):
            self._append_block(lines[start : start + LINES_PER_FRAME])

    def _append_block(self, lines: list[_Line]) -> None:
        place = self._append([line.data for line in lines])
        for number, line in enumerate(lines):
            if line.key is not None:
                self._index.setdefault(bytes.fromhex(line.key), place + number)
            if line.charge is not None:
                self._ledger.settle(line.payer, line.charge.money, line.charge.tokens)
            if line.closes is not None and line.lost:
                self._ledger.lose(line.closes)
            elif line.closes is not None:
                self._ledger.release(line.closes)

    def _decide(self, ask: _Ask, asked_elsewhere: set[str]) -> Hold | CapReached | str:
        if bytes.fromhex(ask.key) in self._index:
            return "answered"
        if ask.key in asked_elsewhere:
            return "parked"
        spending = self.spending()
        committed = spending.total + ask.most
        if ask.adopt:
            for hold in self._ledger.lost_holds(ask.key):
                committed -= hold.most
        if not self._fits(committed):
            parked = spending.calls_in_flight > 0
            return "parked" if parked else CapReached(spending, self.cap, ask.most)
        self._calls += 1
        hold_id = HoldId(self._writer().path.name, self._calls)
        hold = Hold(hold_id, ask.key, self.payer, ask.most.money, ask.most.tokens)
        self._ledger.open(hold)
        return hold

    def _fits(self, charge: Charge) -> bool:
        money, tokens = self.cap.money, self.cap.tokens
        return (money is None or charge.money <= money + _ROUNDING) and (
            tokens is None or charge.tokens <= tokens
        )

    def _append_holds(self, asks: list[_Ask], answers: list[Hold | CapReached | str]) -> None:
        holds = [answer for answer in answers if isinstance(answer, Hold)]
        if not holds:
            return
        adopted = [
            lost.id
            for ask, answer in zip(asks, answers, strict=True)
            if ask.adopt and isinstance(answer, Hold)
            for lost in self._ledger.lost_holds(ask.key)
        ]
        lines = [_hold_line(hold) for hold in holds]
        if adopted:
            lines.append(orjson.dumps({"adopts": [list(hold_id) for hold_id in adopted]}))
        for start in range(0, len(lines), LINES_PER_FRAME):
            self._append(lines[start : start + LINES_PER_FRAME])
        self._ledger.adopt(adopted)

    def _append(self, lines: list[bytes]) -> int:
        """Append one frame; the place of its first line."""
        writer = self._writer()
        return self._shelf.add_frame(writer.path, writer.append(lines))

    def _own_name(self) -> str:
        return self._own.path.name if self._own else ""

    def _writer(self) -> SegmentWriter:
        if self._own is None:
            self._own = SegmentWriter(self.folder)
        return self._own

    # --- scanning --------------------------------------------------------------------------

    def _scan_all(self) -> None:
        replaced = {name for path in self._shelf.paths(COMPACTED) for name in _replaced_by(path)}
        for path in self._shelf.paths():
            if path.name in replaced:
                self._shelf.bury(path)
            else:
                self._scan(path, keep=True)

    def _scan_living(self) -> None:
        """Read on in segments that may have grown. Needs the lock: nobody makes one meanwhile."""
        own = self._own_name()
        for path in self._shelf.paths():
            if path.name == own or self._shelf.is_dead(path):
                continue
            alive = self._shelf.is_alive(path)
            self._scan(path, keep=False)
            if not alive:
                self._shelf.bury(path)
                self._ledger.bury(path.name)

    def _scan(self, path: Path, *, keep: bool) -> None:
        segment = path.name
        begun: dict[int, Mapping[str, Any]] = {}
        for place, lines in self._shelf.read_on(path, keep=keep):
            for number, data in enumerate(lines):
                # Quotes inside JSON strings are escaped: these bytes can only be the field.
                head, reply, _ = data.partition(b',"text":')
                line = orjson.loads(head + b"}" if reply else data)
                if reply:
                    self._index.setdefault(bytes.fromhex(line["key"]), place + number)
                self._take_in(segment, line, begun)
        for line in begun.values():
            self._ledger.open(_hold_of(line, segment))

    def _take_in(
        self, segment: str, line: Mapping[str, Any], begun: dict[int, Mapping[str, Any]]
    ) -> None:
        """Let a line take effect. Calls that begin and end in one reading, which nearly all do,
        never reach the ledger: ``begun`` holds those whose end has not been read yet.
        """
        call = line.get("call")
        if "hold" in line:
            begun[line["call"]] = line
            return
        if "charge" in line:
            money, tokens = line["charge"]
            self._ledger.settle(line["payer"], money, tokens, line.get("calls", 1))
        elif "adopts" in line:
            self._ledger.adopt(HoldId(*pair) for pair in line["adopts"])
        if call is None:
            return
        before = begun.pop(call, None)
        if line.get("end") == "lost":
            if before is not None:
                self._ledger.open(_hold_of(before, segment))
            self._ledger.lose(HoldId(segment, call))
        elif before is None:
            self._ledger.release(HoldId(segment, call))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with _hold_lock(self.folder / LOCK_FILE, fcntl.LOCK_EX):
            yield


def _hold_lock(path: Path, kind: int) -> BinaryIO:
    """An open file that holds a lock for as long as it is open."""
    handle = path.open("ab")
    try:
        fcntl.flock(handle, kind)
    except OSError:
        handle.close()
        raise
    return handle


def _given(granted: asyncio.Future[Hold | None]) -> Hold | None:
    """The hold that came too late for who waited for it."""
    if not granted.done() or granted.cancelled() or granted.exception() is not None:
        return None
    return granted.result()


def _hold_line(hold: Hold) -> bytes:
    most = [hold.most.money, hold.most.tokens]
    return orjson.dumps({"key": hold.key, "call": hold.id.call, "payer": hold.payer, "hold": most})


def _hold_of(line: Mapping[str, Any], segment: str) -> Hold:
    return Hold(HoldId(segment, line["call"]), line["key"], line["payer"], *line["hold"])


def _replaced_by(path: Path) -> list[str]:
    with path.open("rb") as handle:
        first = next(iter_frames(handle, 0), None)
    return orjson.loads(first.lines[0])["replaces"] if first and first.lines else []
