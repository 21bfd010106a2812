"""Reading an anchored reply: one line per slot, then the summary lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import regex as re

from mira.parsing.result import USABLE_SHARE, AnchoredReply, Status, in_order
from mira.parsing.slot_line import SlotLine, SlotReader, Unfilled
from mira.parsing.summary import KEYS, read_summary_line, settle_summaries
from mira.parsing.unsaid import find_answer

_MARKUP_LINE = re.compile(r"\s*+(?:[`~]{3}|\||[-=*_ ]*+$)")
_PROBLEMS = {
    "unreadable_score": "no readable score",
    "out_of_range": "score not within 0 to 10",
    "score_range": "more than one score",
}


def parse_anchored(
    reply: str,
    slots: Sequence[str],
    *,
    names: Mapping[str, str] | None = None,
    summary: bool = True,
    record: str = "",
) -> AnchoredReply:
    """Read an anchored reply for the given slot ids.

    ``names`` (slot to name) lets names be skipped even where they look like a score; a line
    without its name is read all the same. ``summary`` says whether the four summary lines and
    rationales were asked for; without them ``[A1] 8`` is what was asked for. ``strict``: the
    filled template and nothing else. ``repaired``: anything else with at least half of the slots,
    ``repairs`` says why. ``failed``: fewer. A score outside 0 to 10, a range, a score in words, a
    missing slot or two different answers for one slot leave that slot None and are named in
    ``problems``. Lines of ``record``, the text that was shown, are quotes and no answers. Never
    raises, and takes time linear in the length of the reply.
    """
    text, repairs = find_answer(reply, record)
    reader = _reader(tuple((slot, (names or {}).get(slot)) for slot in slots), short=not summary)
    found = _read_lines(text, reader, summary=summary)
    repairs |= found.repairs
    problems: list[str] = []
    scores = {slot: _settle(slot, found.slots, problems, repairs) for slot in slots}
    rationales = {
        slot: None if score is None else found.slots[slot][-1].rationale
        for slot, score in scores.items()
    }
    unsettled: list[str] = []
    summaries = settle_summaries(found.summaries, unsettled)
    if summary and unsettled:
        problems += unsettled
        repairs.add("no_summary")
    asked_for = (*slots, *(KEYS.values() if summary else ()))
    if not _is_ordered(found.order, asked_for):
        repairs.add("reordered")
    if _is_repeated(found, {**scores, **summaries}):
        repairs.add("repeated")
    n_found = sum(score is not None for score in scores.values())
    return AnchoredReply(
        scores,
        rationales,
        **summaries,
        status=_status(n_found, len(slots), repairs),
        problems=problems,
        repairs=in_order(repairs),
    )


@lru_cache(maxsize=64)
def _reader(names: tuple[tuple[str, str | None], ...], *, short: bool) -> SlotReader:
    """The reader for one rubric: thousands of replies answer the same one."""
    return SlotReader(names, short=short)


@dataclass
class _Found:
    """What was found line by line: by slot, by summary, in which order, with which repairs."""

    slots: dict[str, list[SlotLine]] = field(default_factory=dict)
    summaries: dict[str, list[str]] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    repairs: set[str] = field(default_factory=set)


def _read_lines(text: str, reader: SlotReader, *, summary: bool) -> _Found:
    found = _Found()
    for line in text.strip().split("\n"):
        if not line or line.isspace():
            found.repairs.add("white_space")
        elif isinstance(said := reader.read(line), SlotLine):
            found.slots.setdefault(said.slot, []).append(said)
            found.order.append(said.slot)
            found.repairs.update(said.repairs)
        elif isinstance(said, Unfilled):
            found.repairs.add("template_echo")
        else:
            _read_other_line(line, found, summary=summary)
    return found


def _read_other_line(line: str, found: _Found, *, summary: bool) -> None:
    said = read_summary_line(line)
    if said is None:
        found.repairs.add("markup" if _MARKUP_LINE.match(line) else "extra_text")
    elif said.unfilled:
        found.repairs.add("template_echo")
    else:
        found.summaries.setdefault(said.key, []).append(said.value)
        if not summary:
            found.repairs.add("extra_text")
            return
        found.order.append(said.key)
        if not said.as_asked:
            found.repairs.add("summary_form")


def _settle(
    slot: str, found: Mapping[str, list[SlotLine]], problems: list[str], repairs: set[str]
) -> float | None:
    """The score on which all lines of a slot agree, or None with what is wrong."""
    lines = found.get(slot)
    if not lines:
        problems.append(f"{slot} is missing")
        repairs.add("missing_slot")
        return None
    for line in lines:
        if line.problem:
            problems.append(f"{slot}: {_PROBLEMS[line.problem]}")
            repairs.add(line.problem)
            return None
    scores = {line.score for line in lines}
    if len(scores) > 1:
        problems.append(f"{slot} has {len(scores)} different scores")
        repairs.add("two_answers")
        return None
    return lines[0].score


def _is_ordered(found: Sequence[str], wanted: Sequence[str]) -> bool:
    seen = dict.fromkeys(found)
    return list(seen) == [key for key in wanted if key in seen]


def _is_repeated(found: _Found, settled: Mapping[str, object]) -> bool:
    """Whether anything that is settled was given more than once."""
    if len(set(found.order)) == len(found.order):
        return False
    return any(settled[key] is not None for key, n in Counter(found.order).items() if n > 1)


def _status(n_found: int, n_wanted: int, repairs: set[str]) -> Status:
    if not n_found or n_found < USABLE_SHARE * n_wanted:
        return "failed"
    return "repaired" if repairs else "strict"
