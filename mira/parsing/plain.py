"""The plain form of a line: ASCII digits and signs, no Markdown, nothing of no width."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mira.parsing.unsaid import ZERO_WIDTH

_ASCII = dict(
    zip(
        "０１２３４５６７８９٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹०१२३४५६७८९"
        "Ａａ／∕⁄：．，、。；［］【】〔〕〖〗（）｜＝－−‐‑―％＋～〜＜＞",
        "0123456789" * 4 + "Aa///:.,,.;[][][][]()|=----—%+~~<>",
        strict=True,
    )
)
_NON_ASCII = re.compile(f"[{''.join(_ASCII)}]")
_MARKS = ("*", "`", "\\")
_ZERO_WIDTH = re.compile(f"[{ZERO_WIDTH}]")


def plain(text: str) -> str:
    """The text with every sign replaced by its plain one. Lengths and places stay the same."""
    for mark in _MARKS:
        if mark in text:
            text = text.replace(mark, " ")
    if text.isascii():
        return text
    # Few signs of a line are replaced, so this is many times faster than str.translate.
    return _NON_ASCII.sub(lambda sign: _ASCII[sign.group()], text)


def without_zero_width(line: str) -> tuple[str, Sequence[int]]:
    """The line without characters of no width, and the place of each of its ends in the line."""
    if line.isascii() or _ZERO_WIDTH.search(line) is None:
        return line, range(len(line) + 1)
    places = [place for place, sign in enumerate(line) if sign not in ZERO_WIDTH]
    return "".join(line[place] for place in places), [*places, len(line)]


def repairs_of_signs(head: str) -> list[str]:
    """The repairs that it takes to read the head of a line as plain."""
    repairs = []
    if not head.isascii() and _NON_ASCII.search(head):
        repairs.append("full_width")
    if any(mark in head for mark in _MARKS):
        repairs.append("markup")
    return repairs


def skip(run: re.Pattern[str], text: str, place: int) -> int:
    """Where the run of signs that begins at ``place`` ends; ``place`` itself if there is none."""
    match = run.match(text, place)
    return match.end() if match else place


def without_markup(text: str) -> str:
    """The text without spaces and without unbalanced Markdown at its ends."""
    text = text.strip()
    for mark in ("**", "`", "*"):
        if text.count(mark) % 2:
            text = text.removeprefix(mark).removesuffix(mark).strip()
    return text
