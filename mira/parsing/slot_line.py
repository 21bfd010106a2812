"""Reading the line of one slot: ``[A1] name: 8/10 — why`` and what models make of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import regex as re

from mira.parsing.plain import plain, repairs_of_signs, skip, without_markup, without_zero_width
from mira.parsing.score import LABEL, Score, ends_score, find_score

_TAG = re.compile(
    r"(?P<lead>[\s#|_•·+-]*+(?:[0-9]{1,3}[.)]\s++)?)(?P<open>\[?)\s*+(?P<slot>A[0-9]{1,3})"
    r"(?:\s*+(?P<close>\])|(?![0-9A-Za-z_])|(?=__?\W))",
    re.IGNORECASE,
)
_NAMED = re.compile(rf" (?!{LABEL})(?=[^\W\d_])(?:[^\W_]|[ ,&']|-(?=\w))++(?<=\w): ", re.IGNORECASE)
_FILLED = re.compile(r"([0-9]|10)(/10)?(?: ([—–-]) ([^\s\d<|—–:.,;)\]：，。；、｜）*`-].*))?")
_UNFILLED = re.compile(
    r"<\s*+score\s*+>(?:\s*+/\s*+10)?(?:\s*+[—–-]\s*+<\s*+reason\s*+>)?[\s|]*+$", re.IGNORECASE
)
_BEFORE_NAME = (re.compile(r"\s*+"), re.compile(r"[\s:|(_–—-]*+"))
# Right before a digit a dash is a minus, unless it stands right after the name.
_RUN = r"(?:[\s:=|()_—]|(?<=[\w\])])–|[–-](?![\d.]))*+"
_BEFORE_SCORE = re.compile(_RUN)
_SEPARATOR = re.compile(rf"(?:[:=|(—]|(?<=[\w\])])–|[–-](?=\s)){_RUN}")
_STOP = re.compile(r"[:=|]")
_SLOT_ID = re.compile(r"(?<![A-Za-z0-9])A[0-9]{1,3}(?![A-Za-z0-9])", re.IGNORECASE)
_CLOSING_MARKS = re.compile(r"[*_`\\]*+")
_BEFORE_RATIONALE = re.compile(r"[\s—–:.,;)|\]：，。；、｜）-]*+")


class SlotLine(NamedTuple):
    """What one line says about a slot: a score and why, or the ``problem`` with the score."""

    slot: str
    score: float | None
    rationale: str | None = None
    problem: str | None = None
    repairs: tuple[str, ...] = ()


class Unfilled(NamedTuple):
    """A line of the template, repeated without being filled in."""


class _Place(NamedTuple):
    """A score in a line, with where the name before it and the signs between them end."""

    name_end: int
    start: int
    score: Score


class SlotReader:
    """Reads the lines that answer for ``names`` (pairs of slot id and dimension's name, or None).

    A name that is known is skipped even where it looks like a score. ``short`` says that scores
    alone were asked for, as in ``[A1] 8``.
    """

    def __init__(self, names: Iterable[tuple[str, str | None]], *, short: bool):
        lines = {slot: " ".join(name.split()) if name else "" for slot, name in names}
        self._names = {slot: plain(name).strip() for slot, name in lines.items()}
        self._openings = {f"[{s}]": f"[{s}] {name}: " if name else "" for s, name in lines.items()}
        self._short = short

    def read(self, line: str) -> SlotLine | Unfilled | None:
        """What the line says about a slot, or None where it is not the line of a slot."""
        return self._read_filled(line) or self._read_any(line)

    def _read_filled(self, line: str) -> SlotLine | None:
        """A line without Markdown or unusual signs, such as a template's: most lines are."""
        tag = line[: line.find("]", 0, 8) + 1]
        opening = self._openings.get(tag)
        if opening is None:
            return None
        repairs = []
        if opening and line.startswith(opening):
            begin = len(opening)
        elif name := _NAMED.match(line, len(tag)):
            begin = name.end()
            if _names_another(line[len(tag) : begin], tag[1:-1]):
                return None
            repairs += ["other_name"] if opening else []
        else:
            begin = len(tag) + 1
            repairs.append("no_name")
        filled = _FILLED.fullmatch(line, begin) if line[begin - 1 : begin] == " " else None
        if filled is None:
            return None
        value, of_ten, dash, rationale = filled.groups()
        repairs += [] if of_ten else ["bare_score"]
        repairs += ["no_reason"] if dash is None else [] if dash == "—" else ["dash"]
        why = rationale.rstrip() if rationale else None
        return SlotLine(tag[1:-1], float(value), why, None, self._forgive(repairs))

    def _read_any(self, line: str) -> SlotLine | Unfilled | None:
        clean, places = without_zero_width(line)
        text = plain(clean)
        tag = _TAG.match(text)
        if tag is None or (slot := tag["slot"].upper()) not in self._names:
            return None
        if _UNFILLED.search(text):
            return Unfilled()
        name_end = self._skip_name(text, tag.end(), slot)
        place = _find_place(text, tag.end(), name_end)
        if place and name_end is None and _names_another(text[tag.end() : place.start], slot):
            place = None
        if place is None:
            meant = name_end is not None or (tag["open"] and tag["close"])
            return SlotLine(slot, None, problem="unreadable_score") if meant else None
        if place.score.value is None:
            return SlotLine(slot, None, problem=place.score.problem)
        end = place.score.end
        head = clean[: skip(_CLOSING_MARKS, clean, end)]
        repairs = [*place.score.repairs, *(repairs_of_signs(head) if text != clean else ())]
        repairs += _repairs_of_tag(tag, shifted=places[end] != end)
        repairs += self._repairs_of_name(text, tag, place, named=name_end == place.name_end)
        rationale = _read_rationale(line[places[end] :])
        repairs += self._repairs_of_rationale(text[end:], rationale)
        return SlotLine(slot, place.score.value, rationale, None, self._forgive(repairs))

    def _skip_name(self, text: str, start: int, slot: str) -> int | None:
        """Where the slot's own name ends, or None where it does not follow the tag."""
        name = self._names[slot]
        for before in _BEFORE_NAME if name else ():
            begin = skip(before, text, start)
            end = begin + len(name)
            goes_on = name[-1].isalnum() and text[end : end + 1].isalnum()
            if text[begin:end].casefold() == name.casefold() and not goes_on:
                return end
        return None

    def _repairs_of_name(
        self, text: str, tag: re.Match[str], place: _Place, *, named: bool
    ) -> list[str]:
        repairs = []
        nameless = not named and not text[tag.end() : place.name_end].strip()
        if nameless:
            repairs.append("no_name")
        elif not named and self._names[tag["slot"].upper()]:
            repairs.append("other_name")
        signs = text[place.name_end : place.start]
        if signs == ": " or (nameless and signs == " "):
            return repairs
        if "|" in signs:
            return [*repairs, "markup"]
        return [*repairs, "white_space" if signs.strip() == ":" else "separator"]

    def _repairs_of_rationale(self, rest: str, rationale: str | None) -> list[str]:
        if rationale is None:
            return ["no_reason"]
        if rest.startswith(" — ") or rest.lstrip().startswith("|"):
            return []
        return ["white_space" if rest.lstrip().startswith("—") else "dash"]

    def _forgive(self, repairs: list[str]) -> tuple[str, ...]:
        """The repairs without what was asked for, and without spaces that other signs left."""
        if not repairs or (not self._short and "white_space" not in repairs):
            return tuple(repairs)
        asked = {"bare_score", "no_name", "no_reason"} if self._short else set()
        if "markup" in repairs or "full_width" in repairs:
            asked.add("white_space")
        return tuple(name for name in repairs if name not in asked)


def _find_place(text: str, tag_end: int, name_end: int | None) -> _Place | None:
    """The score right after the tag or the name, or behind the line's next separators.

    What follows the colon after the name is the rationale: numbers in it are not scores.
    """
    start = tag_end if name_end is None else name_end
    first = skip(_BEFORE_SCORE, text, start)
    if score := find_score(text, first):
        return _Place(start, first, score)
    after_stop = _STOP.search(text, start, first) is not None
    if after_stop and name_end is not None:
        return None
    found: _Place | None = None
    for separator in _SEPARATOR.finditer(text, first):
        is_stop = _STOP.search(separator.group()) is not None
        score = find_score(text, separator.end())
        if score and (is_stop or (not after_stop and ends_score(text, score.end))):
            if found and score.value != found.score.value:
                return _Place(start, first, Score(None, first, "score_range"))
            found = found or _Place(separator.start(), separator.end(), score)
        if is_stop or (found and found.score.value is None):
            break
    return found


def _names_another(name: str, slot: str) -> bool:
    """Whether another slot is named where a name should stand, as in ``A1 to A5: 8``."""
    return any(found.group().upper() != slot for found in _SLOT_ID.finditer(name))


def _repairs_of_tag(tag: re.Match[str], *, shifted: bool) -> list[str]:
    repairs = []
    if tag["lead"].strip():
        repairs.append("markup")
    elif tag["lead"] or shifted:
        repairs.append("white_space")
    if not (tag["open"] and tag["close"]) or tag["slot"].islower():
        repairs.append("tag")
    return repairs


def _read_rationale(rest: str) -> str | None:
    """What is said after the score, without the signs and the Markdown around it."""
    begin = skip(_BEFORE_RATIONALE, rest, skip(_CLOSING_MARKS, rest, 0))
    rationale = without_markup(rest[begin:].rstrip(" \t|｜"))
    return None if rationale in ("", "<reason>") else rationale
