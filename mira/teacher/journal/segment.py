"""Segments: append-only files of compressed lines, each written by one process.

A segment is a row of zstd frames, so ``zstdcat`` reads it. Before each stands a skippable frame
that holds its length: a reader can hop from frame to frame, and tell a torn last one. A writer
holds a lock on its segment for as long as it lives; so whether a call in flight may still be
answered can be known from outside, and a kill leaves nothing to clean up.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import zstandard

SUFFIX = ".jsonl.zst"

_LENGTH = struct.Struct("<III")
_SKIPPABLE = 0x184D2A50
_COMPRESSOR = zstandard.ZstdCompressor(level=3, write_checksum=True)
_DECOMPRESSOR = zstandard.ZstdDecompressor()


class Frame(NamedTuple):
    """One frame of a segment: where it starts and ends, and its lines; None if it is damaged."""

    start: int
    end: int
    lines: list[bytes] | None


def encode(lines: list[bytes]) -> bytes:
    """The lines (without line ends) as one frame, its length before it."""
    frame = _COMPRESSOR.compress(b"\n".join(lines) + b"\n")
    return _LENGTH.pack(_SKIPPABLE, 4, len(frame)) + frame


def iter_frames(handle: BinaryIO, offset: int) -> Iterator[Frame]:
    """The whole frames from ``offset`` on; ends before a torn or overwritten one."""
    handle.seek(offset)
    while len(head := handle.read(_LENGTH.size)) == _LENGTH.size:
        magic, size, length = _LENGTH.unpack(head)
        body = handle.read(length) if (magic, size) == (_SKIPPABLE, 4) else b""
        if not body or len(body) < length:
            return
        start, offset = offset, offset + _LENGTH.size + length
        yield Frame(start, offset, _decode(body))


def read_frame(handle: BinaryIO, offset: int) -> list[bytes]:
    """The lines of the frame that starts at ``offset``."""
    lines = next(iter_frames(handle, offset)).lines
    assert lines is not None, "only whole frames are indexed"
    return lines


def _decode(body: bytes) -> list[bytes] | None:
    try:
        return _DECOMPRESSOR.decompress(body).split(b"\n")[:-1]
    except zstandard.ZstdError:
        return None


def is_alive(handle: BinaryIO) -> bool:
    """Whether the process that writes this segment still lives (on any node that shares locks)."""
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(handle, fcntl.LOCK_UN)
    return False


class SegmentWriter:
    """The segment that this process appends to, locked until it is closed or collected."""

    def __init__(self, folder: Path):
        """Make a segment under a name no other process has, durable in its folder.

        It gets its name when it is locked: a segment that is seen unlocked has a dead writer.
        """
        self.path = folder / f"{time.time_ns()}-{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
        unnamed = folder / f".{self.path.name}.partial"
        self._file = unnamed.open("xb", buffering=0)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unnamed.rename(self.path)
        sync_folder(folder)
        self._size = 0

    def append(self, lines: list[bytes]) -> int:
        """Write one frame; the offset at which it starts. A failed write leaves no trace."""
        start, view = self._size, memoryview(encode(lines))
        length = len(view)
        try:
            while view:
                view = view[self._file.write(view) or 0 :]
        except OSError:
            self._file.truncate(start)
            raise
        self._size += length
        return start

    def sync(self) -> None:
        """Flush what was appended to disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file and give up its lock; it is never opened for writing again."""
        self._file.close()


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
