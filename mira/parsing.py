"""Reading a teacher's or student's reply. Nothing is ever invented: what is unclear stays empty.

Slots are found by their id, never by their name or position: names repeat.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from mira.prompts import well_formed

Status = Literal["strict", "repaired", "failed"]

USABLE_SHARE = 0.5
"""A reply with fewer than this share of what was asked is unusable (ours)."""

RECOMMENDATIONS = ("keep", "downsample", "drop")


class PointsReply(NamedTuple):
    """Judgment points ``{dimension, score, reason}`` of a free-form reply, and how it was read."""

    points: list[dict[str, Any]]
    status: Status
    problems: list[str]


@dataclass(frozen=True)
class AnchoredReply:
    """Scores (0-10, or None) and rationales by slot, and the summary lines."""

    scores: dict[str, float | None]
    rationales: dict[str, str | None]
    overall: float | None
    recommendation: str | None
    domain_tag: str | None
    brief: str | None
    status: Status
    problems: list[str]

    @property
    def n_scores(self) -> int:
        """Number of slots with a score."""
        return sum(score is not None for score in self.scores.values())


_THOUGHT = re.compile(r"\A\s*<(think(?:ing)?)>.*?(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_THOUGHT_END = re.compile(r"</think(?:ing)?>[ \t]*$", re.IGNORECASE | re.MULTILINE)
_ECHO = re.compile(r"<record ([0-9a-f]{16})>")


def answer_part(reply: str) -> str:
    """The reply without thinking text before the answer and without echoes of the record.

    Thoughts may come without their opening tag, which some chat templates put into the prompt.
    """
    text = _THOUGHT.sub("", reply)
    if text == reply:
        ends = [match.end() for match in _THOUGHT_END.finditer(reply)]
        text = reply[ends[-1] :] if ends else reply
    return _without_echoes(text)


def _without_echoes(text: str) -> str:
    kept, position = [], 0
    for opening in _ECHO.finditer(text):
        closing = f"</record {opening[1]}>"
        end = text.find(closing, opening.end())
        if opening.start() >= position and end >= 0:
            kept.append(text[position : opening.start()])
            position = end + len(closing)
    return "".join([*kept, text[position:]])


# --- free-form ---------------------------------------------------------------------------------

_TRAILING_COMMA = re.compile(r",(?=\s*[\]}])")
_DECODER = json.JSONDecoder()


def parse_points(reply: str, n: int) -> PointsReply:
    """Read a free-form reply that should hold ``n`` judgment points.

    ``strict``: exactly the JSON object asked for, every point valid. ``repaired``: extra text,
    code fence, bare list, trailing commas, cut end, invalid or missing points. ``failed``: fewer
    than half of the points.
    """
    problems: list[str] = []
    found = _read_json(reply.strip())
    if found is None:
        problems.append("not the JSON object alone")
        found = list(_scan_points(answer_part(reply)))
    points = [point for candidate in found if (point := _read_point(candidate)) is not None]
    exact = len(points) == len(found) and all(
        type(candidate["score"]) in (int, float) for candidate in found
    )
    if not exact:
        problems.append("points without dimension, reason or a score from 0 to 10")
    if len(points) != n:
        problems.append(f"{len(points)} valid points instead of {n}")
    if len(points) < USABLE_SHARE * n or not points:
        return PointsReply(points[:n], "failed", problems)
    return PointsReply(points[:n], "repaired" if problems else "strict", problems)


def _read_json(text: str) -> list[Any] | None:
    try:
        reply = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(reply, dict) and isinstance(reply.get("points"), list):
        return reply["points"]
    return None


def _scan_points(text: str) -> Iterator[Any]:
    """Every JSON object with a ``dimension``, so that a cut list gives what is whole."""
    without_commas = _TRAILING_COMMA.sub(" ", text)
    position = text.find("{")
    while position >= 0:
        value, end = _decode(text, position) or _decode(without_commas, position) or (None, 0)
        if isinstance(value, dict) and "dimension" in value:
            yield value
        else:
            end = position + 1
        position = text.find("{", end)


def _decode(text: str, position: int) -> tuple[Any, int] | None:
    try:
        return _DECODER.raw_decode(text, position)
    except (ValueError, RecursionError):
        return None


def _read_point(candidate: Any) -> dict[str, Any] | None:
    if not isinstance(candidate, dict):
        return None
    dimension, reason = candidate.get("dimension"), candidate.get("reason")
    score = _point_score(candidate.get("score"))
    if not isinstance(dimension, str) or not dimension.strip() or score is None:
        return None
    if not isinstance(reason, str) or not reason.strip():
        return None
    return {
        "dimension": well_formed(dimension.strip()),
        "score": score,
        "reason": well_formed(reason.strip()),
    }


def _point_score(value: Any) -> float | None:
    if isinstance(value, str):
        match = _SCORE.fullmatch(_plain(value).strip())
        return _score_value(match) if match else None
    if type(value) in (int, float) and 0 <= value <= 10:
        return float(value)
    return None


# --- anchored ----------------------------------------------------------------------------------

# Every replacement has the length of what it replaces, so positions hold in the original too.
_PLAIN = str.maketrans(
    "０１２３４５６７８９／：．，。；［］【】（）｜＝－*`", "0123456789/:.,.;[][]()|=-  "
)
_SCORE = re.compile(
    r"(?P<sign>-?)(?P<value>\d{1,4}(?:[.,]\d+)?)"
    r"(?:\s*(?:/|out\s+of)\s*(?P<of>\d+(?:\.\d+)?))?"
    r"(?:\s*(?:points?\b|分))?",
    re.IGNORECASE,
)
_SCORE_END = re.compile(r"\s*(?:$|[—–:|;()]|[.,](?!\d)|-(?!\w))")
_RANGE = re.compile(r"\s*(?:[-–—~]|to|or)\s*\d+(?:[.,]\d+)?\s*/\s*10\b", re.IGNORECASE)
_RANGE_OF_TEN = re.compile(r"(?:[-–~]|\s*~\s*|\s+(?:to|or)\s+)\d+(?:[.,]\d+)?\s*/\s*10\b")
_SEPARATOR = re.compile(r"[:=|—–]|-(?=\s)|(?=\d)")
_COLONS = (":", "=", "|")
_TAG = re.compile(
    r"^[\s>#|_•+-]*(?:\d+[.)]\s+)?(?P<open>\[)?\s*(?P<slot>A\d{1,3})\s*(?:(?P<close>\])|(?!\w))",
    re.IGNORECASE,
)
_STRICT = re.compile(r"\[(A\d+)\] .+?: (?:\d|10)(?:\.\d+)?/10(?: — .+)?")
_SUMMARY = re.compile(
    r"^[\s>#|_•+-]*(?P<name>overall(?:[ _]score)?|(?:training[ _])?recommendation|domain[ _]tag"
    r"|brief)\s*(?:[:=|—–]|-(?=\s))\s*(?P<value>.*)$",
    re.IGNORECASE,
)


def parse_anchored(
    reply: str,
    slots: Sequence[str],
    *,
    names: Mapping[str, str] | None = None,
    summary: bool = True,
) -> AnchoredReply:
    """Read an anchored reply for the given slot ids.

    ``names`` (slot to name) lets names be skipped even where they look like a score; a line
    without its name is read all the same. ``summary`` says whether the four summary lines were
    asked for. ``strict``: the filled template and nothing else. ``repaired``: anything else with
    at least half of the slots. ``failed``: fewer. A score above 10, a range, a missing slot or two
    different answers for one slot leave that slot None and are named in ``problems``.
    """
    lines = [line for line in answer_part(reply).split("\n") if line.strip()]
    answers: dict[str, list[_Answer]] = {slot: [] for slot in slots}
    summaries: dict[str, list[str]] = {}
    for line in lines:
        if answer := _read_slot_line(line, answers, names or {}):
            answers[answer.slot].append(answer)
        elif match := _SUMMARY.match(_plain(line)):
            value = line[match.start("value") :].strip(" \t*_`|")
            summaries.setdefault(_summary_key(match["name"]), []).append(value)

    problems: list[str] = []
    scores = {slot: _settle_score(slot, answers[slot], problems) for slot in slots}
    rationales = {
        slot: answers[slot][-1].rationale if scores[slot] is not None else None for slot in slots
    }
    settled = _settle_summaries(summaries, problems, expected=summary)
    found = sum(score is not None for score in scores.values())
    status: Status = "repaired"
    if not found or found < USABLE_SHARE * len(slots):
        status = "failed"
    elif (
        not problems and lines == reply.strip().split("\n") and _is_template(lines, slots, summary)
    ):
        status = "strict"
    return AnchoredReply(scores, rationales, **settled, status=status, problems=problems)


@dataclass(frozen=True)
class _Answer:
    slot: str
    score: float | None
    rationale: str | None
    problem: str | None


def _read_slot_line(
    line: str, known: Mapping[str, object], names: Mapping[str, str]
) -> _Answer | None:
    plain = _plain(line)
    tag = _TAG.match(plain)
    if tag is None or (slot := tag["slot"].upper()) not in known:
        return None
    if "<score>" in plain:
        return None
    start, named = _skip_name(plain, tag.end(), names.get(slot))
    match = _find_score(plain, start, named)
    if match is None:
        bracketed = tag["open"] and tag["close"]
        return _Answer(slot, None, None, "no readable score") if bracketed else None
    score = _score_value(match)
    if score is None:
        return _Answer(slot, None, None, "score not within 0 to 10")
    rationale = line[match.end() :].strip(" \t*_`|").lstrip("—–-:.,;)｜：，。； \t*_`")
    return _Answer(slot, score, rationale or None, None)


def _skip_name(plain: str, start: int, name: str | None) -> tuple[int, bool]:
    """Where the slot's name ends, and whether it was there."""
    wanted = _plain(" ".join(name.split())) if name else ""
    begin = len(plain) - len(plain[start:].lstrip(" \t:|-"))
    if wanted and plain[begin : begin + len(wanted)].casefold() == wanted.casefold():
        return begin + len(wanted), True
    return start, False


def _find_score(plain: str, start: int, named: bool) -> re.Match[str] | None:
    """The score right after the tag, a dash or the first colon.

    What follows the colon after the name is the rationale: numbers in it are not scores.
    """
    for separator in _SEPARATOR.finditer(plain, start):
        blank = not plain[start : separator.start()].strip()
        if separator.group() == "" and not blank:
            continue
        position = separator.end()
        while position < len(plain) and plain[position].isspace():
            position += 1
        match = _SCORE.match(plain, position)
        if match and (match["of"] or _SCORE_END.match(plain, match.end())):
            range_ = _RANGE_OF_TEN if match["of"] else _RANGE
            return None if range_.match(plain, match.end()) else match
        if separator.group() in _COLONS and (named or not blank):
            return None
    return None


def _score_value(match: re.Match[str]) -> float | None:
    value = float(match["value"].replace(",", "."))
    of_ten = match["of"] is None or float(match["of"]) == 10
    return value if of_ten and not match["sign"] and value <= 10 else None


def _settle_score(slot: str, answers: list[_Answer], problems: list[str]) -> float | None:
    if not answers:
        problems.append(f"{slot} is missing")
        return None
    unreadable = [answer.problem for answer in answers if answer.problem]
    if unreadable:
        problems.append(f"{slot}: {unreadable[0]}")
        return None
    scores = {answer.score for answer in answers}
    if len(scores) > 1:
        problems.append(f"{slot} has {len(scores)} different scores")
        return None
    return answers[0].score


def _settle_summaries(
    found: Mapping[str, list[str]], problems: list[str], *, expected: bool
) -> dict[str, Any]:
    readers = {
        "overall": _read_overall,
        "recommendation": _read_recommendation,
        "domain_tag": lambda value: value or None,
        "brief": lambda value: value or None,
    }
    settled: dict[str, Any] = dict.fromkeys(readers)
    for key, read in readers.items():
        lines = found.get(key, ())
        values = {read(value) for value in lines} - {None}
        if len(values) > 1:
            problems.append(f"{key} has {len(values)} different values")
        elif values:
            settled[key] = values.pop()
        elif lines:
            problems.append(f"{key} is unreadable")
        elif expected:
            problems.append(f"{key} is missing")
    return settled


def _read_overall(value: str) -> float | None:
    match = re.match(
        r"(\d+(?:\.\d+)?)\s*(?:(?:/|out of)\s*100\b|%)?(?![\d/])", _plain(value).strip()
    )
    number = float(match[1]) if match else -1.0
    return number if 0 <= number <= 100 else None


def _read_recommendation(value: str) -> str | None:
    words = {word for word in re.findall(r"[a-z]+", value.casefold()) if word in RECOMMENDATIONS}
    return words.pop() if len(words) == 1 else None


def _summary_key(name: str) -> str:
    key = name.casefold().replace(" ", "_")
    return {"overall_score": "overall", "training_recommendation": "recommendation"}.get(key, key)


def _is_template(lines: list[str], slots: Sequence[str], summary: bool) -> bool:
    if len(lines) != len(slots) + (4 if summary else 0):
        return False
    matches = [_STRICT.fullmatch(line) for line in lines[: len(slots)]]
    return all(m is not None and m[1] == slot for m, slot in zip(matches, slots, strict=True))


def _plain(text: str) -> str:
    return text.translate(_PLAIN)
