"""The shelf: the segments of a folder, and where every line of theirs is."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from mira.teacher.journal.segment import SUFFIX, is_alive, iter_frames, read_frame

LINES_PER_FRAME = 1_000

_LINE_BITS = 16
_LINE_MASK = (1 << _LINE_BITS) - 1
_BYTES_IN_MEMORY = 256 * 2**20
_OPEN_FILES = 64

logger = logging.getLogger(__name__)


@dataclass
class _Segment:
    """A segment as far as it has been read; a dead one grows no more."""

    path: Path
    number: int
    read: int = 0
    dead: bool = False
    damaged: list[int] = field(default_factory=list)


class Shelf:
    """Lines by *place*: a number that says which frame of which segment, and which line of it.

    Only frames' positions and the decoded frames used last are kept in memory.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._segments: list[_Segment] = []
        self._by_name: dict[str, _Segment] = {}
        self._frames: list[tuple[int, int]] = []
        self._files: OrderedDict[int, BinaryIO] = OrderedDict()
        self._decoded: OrderedDict[int, list[bytes]] = OrderedDict()
        self._decoded_bytes = 0

    def paths(self, prefix: str = "") -> list[Path]:
        """All segments in the folder, or those whose names begin with the prefix."""
        return sorted(self.folder.glob(f"{prefix}[!.]*{SUFFIX}"))

    def read_on(self, path: Path, *, keep: bool) -> Iterator[tuple[int, list[bytes]]]:
        """Place of the first line, and lines, of every frame that was not read yet.

        ``keep`` leaves them in memory as far as there is room; not where ``line`` is called in
        another thread.
        """
        segment = self._segment(path)
        if segment.dead:
            return
        with path.open("rb") as handle:
            for frame in iter_frames(handle, segment.read):
                place = self._add(segment, frame.start)
                segment.read = frame.end
                if frame.lines is None:
                    segment.damaged.append(frame.start)
                    logger.warning("%s: the block at byte %d is damaged", path, frame.start)
                else:
                    if keep:
                        self._keep(place >> _LINE_BITS, frame.lines)
                    yield place, frame.lines

    def add_frame(self, path: Path, offset: int) -> int:
        """Take in a frame that this process has written; the place of its first line."""
        return self._add(self._segment(path), offset)

    def is_dead(self, path: Path) -> bool:
        """Whether the segment is known to grow no more."""
        return self._segment(path).dead

    def bury(self, path: Path) -> None:
        """The segment grows no more: it is not read again."""
        self._segment(path).dead = True

    def is_alive(self, path: Path) -> bool:
        """Whether the segment's writer lives."""
        with path.open("rb") as handle:
            return is_alive(handle)

    def line(self, place: int) -> bytes:
        """The line at a place."""
        number = place >> _LINE_BITS
        if number in self._decoded:
            self._decoded.move_to_end(number)
        else:
            self._decode(number)
        return self._decoded[number][place & _LINE_MASK]

    def damaged(self) -> list[tuple[Path, int]]:
        """Segments and offsets of frames that cannot be read."""
        return [(segment.path, at) for segment in self._segments for at in segment.damaged]

    def close(self) -> None:
        """Close all files; they are opened again when needed."""
        for handle in self._files.values():
            handle.close()
        self._files.clear()

    def _decode(self, number: int) -> None:
        segment, offset = self._frames[number]
        self._keep(number, read_frame(self._file(segment), offset))

    def _keep(self, number: int, lines: list[bytes]) -> None:
        self._decoded[number] = lines
        self._decoded_bytes += sum(map(len, lines))
        while self._decoded_bytes > _BYTES_IN_MEMORY and len(self._decoded) > 1:
            _, dropped = self._decoded.popitem(last=False)
            self._decoded_bytes -= sum(map(len, dropped))

    def _segment(self, path: Path) -> _Segment:
        segment = self._by_name.get(path.name)
        if segment is None:
            segment = self._by_name[path.name] = _Segment(path, len(self._segments))
            self._segments.append(segment)
        return segment

    def _add(self, segment: _Segment, offset: int) -> int:
        self._frames.append((segment.number, offset))
        return (len(self._frames) - 1) << _LINE_BITS

    def _file(self, number: int) -> BinaryIO:
        handle = self._files.get(number)
        if handle is None:
            if len(self._files) >= _OPEN_FILES:
                self._files.popitem(last=False)[1].close()
            handle = self._files[number] = self._segments[number].path.open("rb")
        return handle
