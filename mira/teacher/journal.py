"""The journal: every paid reply, durable before it is used, found again by its content.

A folder of append-only JSONL segments, one per writing process, so that several processes may
use one folder at once. A line is ``{"key": ..., "text": ..., ...}``; the key is the hash of what
was asked. ``cat folder/*.jsonl`` reads it all. Nothing is ever rewritten, so a kill at any
moment can only leave a torn last line, which readers skip.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import orjson

from mira.errors import UserError

COMMIT_INTERVAL_S = 0.05

_OFFSET_BITS = 44
_OPEN_SEGMENTS = 64


def reply_key(
    model: str, messages: Sequence[Mapping[str, Any]], params: Mapping[str, Any], sample: int
) -> str:
    """32 hex digits naming a question: the hash of everything that decides its reply."""
    canonical = orjson.dumps([model, messages, params, sample], option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(canonical, digest_size=16).hexdigest()


class _Pending(NamedTuple):
    key: str
    line: bytes
    written: asyncio.Future[None]


class Journal:
    """Replies by key in ``folder``, which is made if need be.

    Opening reads every segment once and keeps only positions in memory. Raises UserError where
    the folder cannot be made or read.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self._segments: list[Path] = []
        self._numbers: dict[Path, int] = {}
        self._scanned: dict[int, int] = {}
        self._index: dict[bytes, int] = {}
        self._open: dict[int, BinaryIO] = {}
        self._pending: list[_Pending] = []
        self._committer: asyncio.Task[None] | None = None
        self._last_commit = 0.0
        self._own: _Segment | None = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.refresh()
        except OSError as error:
            raise _cannot("read", self.folder, error) from error

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, key: str) -> bool:
        return bytes.fromhex(key) in self._index

    def get(self, key: str) -> dict[str, Any] | None:
        """The entry stored under the key, or None."""
        place = self._index.get(bytes.fromhex(key))
        if place is None:
            return None
        handle = self._reader(place >> _OFFSET_BITS)
        handle.seek(place & ((1 << _OFFSET_BITS) - 1))
        return orjson.loads(handle.readline())

    def iter_entries(self) -> Iterator[dict[str, Any]]:
        """Every entry once, in the order of segments and lines."""
        for place in sorted(self._index.values()):
            handle = self._reader(place >> _OFFSET_BITS)
            handle.seek(place & ((1 << _OFFSET_BITS) - 1))
            yield orjson.loads(handle.readline())

    def refresh(self) -> None:
        """Take in what other processes have written since the last look."""
        for path in sorted(self.folder.glob("*.jsonl")):
            if self._own is None or path != self._own.path:
                self._scan(path, self._number(path))

    async def put(self, key: str, entry: Mapping[str, Any]) -> None:
        """Store an entry; returns when it is on disk.

        Entries that arrive within one commit interval share one write and one fsync. Raises
        UserError naming the folder when it cannot be written (full disk, no permission); what was
        stored before stays readable.
        """
        line = orjson.dumps({"key": key, **entry}) + b"\n"
        pending = _Pending(key, line, asyncio.get_running_loop().create_future())
        self._pending.append(pending)
        if self._committer is None or self._committer.done():
            self._committer = asyncio.create_task(self._commit_all())
        await pending.written

    async def flush(self) -> None:
        """Wait until everything handed to ``put`` is on disk, whoever waits for it."""
        if self._committer is not None:
            await self._committer

    def close(self) -> None:
        """Close all files. The journal can still be used afterwards."""
        for handle in self._open.values():
            handle.close()
        self._open.clear()
        if self._own is not None:
            self._own.close()
            self._own = None

    async def _commit_all(self) -> None:
        while self._pending:
            await asyncio.sleep(self._last_commit + COMMIT_INTERVAL_S - time.monotonic())
            batch, self._pending = self._pending, []
            try:
                place = await asyncio.to_thread(self._write, b"".join(p.line for p in batch))
            except OSError as error:
                _tell(batch, _cannot("write", self.folder, error))
            else:
                for pending in batch:
                    self._index.setdefault(bytes.fromhex(pending.key), place)
                    place += len(pending.line)
                _tell(batch, None)
            self._last_commit = time.monotonic()

    def _write(self, data: bytes) -> int:
        """Append to this process's segment and flush it to disk; the place of the first byte."""
        if self._own is None:
            self._own = _Segment.create(self.folder)
        try:
            offset = self._own.append(data)
        except OSError:
            self._own.close()
            self._own = None
            raise
        return (self._number(self._own.path) << _OFFSET_BITS) + offset

    def _number(self, path: Path) -> int:
        if path not in self._numbers:
            self._numbers[path] = len(self._segments)
            self._segments.append(path)
        return self._numbers[path]

    def _scan(self, path: Path, number: int) -> None:
        offset = self._scanned.get(number, 0)
        base = number << _OFFSET_BITS
        with path.open("rb") as handle:
            handle.seek(offset)
            for line in handle:
                if not line.endswith(b"\n"):
                    break
                if key := _key_of(line):
                    self._index.setdefault(key, base + offset)
                offset += len(line)
        self._scanned[number] = offset

    def _reader(self, number: int) -> BinaryIO:
        handle = self._open.get(number)
        if handle is None:
            if len(self._open) >= _OPEN_SEGMENTS:
                self._open.pop(next(iter(self._open))).close()
            handle = self._open[number] = self._segments[number].open("rb")
        return handle


class _Segment:
    """The file this process appends to."""

    def __init__(self, path: Path, descriptor: int):
        self.path = path
        self._descriptor = descriptor
        self._size = 0

    @classmethod
    def create(cls, folder: Path) -> _Segment:
        """Make a segment under a name no other process has, durable in its folder."""
        path = folder / f"{time.time_ns()}-{os.getpid()}-{secrets.token_hex(4)}.jsonl"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        directory = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        return cls(path, descriptor)

    def append(self, data: bytes) -> int:
        """Write and fsync; the offset of the first byte. A failed write leaves no trace."""
        start = self._size
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]
            os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, start)
            raise
        self._size += len(data)
        return start

    def close(self) -> None:
        """Close the file; it is never opened for writing again."""
        os.close(self._descriptor)


def _key_of(line: bytes) -> bytes | None:
    try:
        return bytes.fromhex(orjson.loads(line)["key"])
    except (ValueError, TypeError, KeyError):
        return None


def _tell(batch: list[_Pending], error: UserError | None) -> None:
    for pending in batch:
        if pending.written.done():
            continue
        if error is None:
            pending.written.set_result(None)
        else:
            pending.written.set_exception(error)


def _cannot(verb: str, folder: Path, error: OSError) -> UserError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    remedy = "free some space there" if full else "check the folder and its permissions"
    return UserError(
        f"Cannot {verb} the journal of teacher replies in {folder}: {error.strerror or error}. "
        f"Replies stored before are intact; {remedy} and start again, nothing is asked twice."
    )
