"""Damage to a piece of text, as it is seen in crawled corpora: ``(text, rng) -> text | None``.

None means that the damage does not apply: the text is too short for a careful reader to notice,
or of a kind that it does not harm. All of this is ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files

import numpy as np

Rng = np.random.Generator
Damage = Callable[[str, Rng], str | None]

MIN_UNITS = 6
MIN_CHARS = 60
SPLICE_MIN_CHARS = 200
_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+|(?<=[。！？；])")
_BULLET = re.compile(r"^(\s*)[*-] ", re.MULTILINE)
_QUOTED = re.compile(r'"([^"\n]*)"')


def shuffled_lines(text: str, rng: Rng) -> str | None:
    """Lines (or sentences, where there are few lines) in random order, at least half moved."""
    units, separator = _units(text)
    if len(set(units)) < MIN_UNITS:
        return None
    for _ in range(20):
        shuffled = [units[i] for i in rng.permutation(len(units))]
        moved = sum(a != b for a, b in zip(units, shuffled, strict=True))
        if moved >= len(units) / 2:
            return separator.join(shuffled)
    return None


def duplicated_lines(text: str, rng: Rng) -> str | None:
    """Half of the blocks of two to six lines (or sentences) repeated one to three times."""
    units, separator = _units(text)
    if len(units) < MIN_UNITS:
        return None
    size = min(int(rng.integers(2, 7)), len(units) // 2)
    blocks = [units[i : i + size] for i in range(0, len(units), size)]
    # The last block may be a single line, which alone would be too little.
    repeated = {int(i) for i in rng.permutation(len(blocks) - 1)[: -(-len(blocks) // 2)]}
    damaged: list[str] = []
    for i, block in enumerate(blocks):
        damaged += block * (1 + int(rng.integers(1, 4)) if i in repeated else 1)
    return separator.join(damaged)


def lost_indentation(text: str, rng: Rng) -> str | None:
    """Leading white space stripped where blocks hang on it, else all lines run together.

    Does not apply to markup, where both are harmless.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < MIN_UNITS or _share(lines, lambda line: line.lstrip().startswith("<")) > 0.3:
        return None
    opens_block = [line.rstrip().endswith(":") for line in lines]
    if sum(opens_block) >= 2 and _share(lines, lambda line: line[0] in " \t") > 0.25:
        return "\n".join(line.lstrip() for line in text.splitlines())
    return " ".join(line.strip() for line in lines)


def truncated(text: str, rng: Rng) -> str | None:
    """The first 15 to 35 %, ending in the middle of a word."""
    if len(text) < MIN_CHARS:
        return None
    target = int(len(text) * rng.uniform(0.15, 0.35))
    nearby = sorted(range(target - 20, target + 20), key=lambda i: (abs(i - target), i))
    low, high = int(len(text) * 0.15), int(len(text) * 0.35)
    for i in nearby:
        if low <= i <= high and text[i - 1].isalnum() and text[i].isalnum():
            return text[:i]
    return text[:target]


def boilerplate_padding(text: str, rng: Rng) -> str | None:
    """Cookie notices, navigation and licence banners in between: once to twice the length."""
    if len(text) < MIN_CHARS:
        return None
    units, separator = _units(text)
    budget = len(text) * rng.uniform(1.0, 2.0)
    blocks = _boilerplate()
    padding: list[str] = []
    while sum(map(len, padding)) < budget:
        padding += [blocks[i] for i in rng.permutation(len(blocks))]
        while len(padding) > 1 and sum(map(len, padding[:-1])) >= budget:
            padding.pop()
    places = sorted(int(place) for place in rng.integers(0, len(units) + 1, len(padding)))
    places[0] = 0
    pieces: list[str] = []
    for start, end, block in zip(places, [*places[1:], len(units)], padding, strict=True):
        pieces += [block, separator.join(units[start:end])]
    return "\n".join(piece for piece in pieces if piece)


@cache
def _boilerplate() -> tuple[str, ...]:
    content = files("mira.sampling").joinpath("boilerplate.txt").read_text(encoding="utf-8")
    return tuple(block.strip() for block in content.split("%%\n"))


def mojibake(text: str, rng: Rng) -> str:
    """UTF-8 read as Windows-1252; the length grows by one and more for each place that is hit.

    Plain ASCII is first set as a word processor would: curly quotes, dashes, ellipses, bullets
    and no-break spaces, whose bytes then come out as ``â€™``, ``â€œ`` or ``Â``.
    """
    return _misread(_typeset(text, rng))


def _typeset(text: str, rng: Rng) -> str:
    text = _QUOTED.sub("“\\1”", text)
    text = _BULLET.sub("\\1• ", text)
    for plain, typeset in (("'", "’"), ("...", "…"), (" -- ", " — "), (" - ", " – ")):
        text = text.replace(plain, typeset)
    share = rng.uniform(0.15, 0.35)
    words = text.split(" ")
    hard = rng.random(len(words)) < share
    return words[0] + "".join(
        ("\u00a0" if is_hard else " ") + word
        for is_hard, word in zip(hard[1:], words[1:], strict=True)
    )


def _misread(text: str) -> str:
    """Bytes that Windows-1252 leaves undefined become control characters, as browsers do it."""
    return text.encode("utf-8").decode("latin-1").translate(_windows_1252())


@cache
def _windows_1252() -> dict[int, str]:
    table = {code: bytes([code]).decode("cp1252", errors="ignore") for code in range(0x80, 0xA0)}
    return {code: character for code, character in table.items() if character}


def spliced(text: str, donors: Sequence[str], rng: Rng) -> str | None:
    """One half of the text (front or back) replaced by about as much of the donors' text."""
    half = max(len(text) // 2, SPLICE_MIN_CHARS)
    foreign = "\n".join(donors)
    if len(text) < MIN_CHARS or len(foreign) < SPLICE_MIN_CHARS:
        return None
    start = _line_start(foreign, int(rng.integers(0, max(1, len(foreign) - half))))
    foreign = foreign[start : start + half]
    middle = _line_start(text, len(text) // 2)
    if rng.random() < 0.5:
        return f"{text[:middle].rstrip()}\n{foreign}"
    return f"{foreign}\n{text[middle:]}"


def _line_start(text: str, position: int) -> int:
    """The last start of a line, or else of a word, in the second half of ``[0, position)``."""
    for boundary in ("\n", " "):
        found = text.rfind(boundary, position // 2, position)
        if found >= 0:
            return found + 1
    return position


def repeated(text: str, rng: Rng) -> str | None:
    """The whole text again and again, three to six times; a long one two to three times."""
    if not text.strip():
        return None
    times = int(rng.integers(3, 7)) if len(text) < 1000 else int(rng.integers(2, 4))
    return "\n".join([text] * times)


def _units(text: str) -> tuple[list[str], str]:
    """Lines with their separator, or sentences where few lines have content."""
    lines = text.splitlines()
    if sum(bool(line.strip()) for line in lines) >= MIN_UNITS:
        return lines, "\n"
    return [unit for unit in _SENTENCE_END.split(text) if unit.strip()], " "


def _share(lines: Sequence[str], condition: Callable[[str], bool]) -> float:
    return sum(map(condition, lines)) / len(lines)
