"""What a reply contains beside its answer: thoughts, and echoes of the record."""

from __future__ import annotations

from bisect import bisect_right

import regex as re

from mira.parsing.quotes import without_quotes

ZERO_WIDTH = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"

_MARKS = r"think(?:ing)?|thought|reasoning|analysis"
_THOUGHT = re.compile(
    rf"(?:[<◁](?P<mark>{_MARKS})[>▷]|\[think\]).*?(?:[<◁]/(?P=mark)[>▷]|\[/think\]|\Z)",
    re.DOTALL | re.IGNORECASE,
)
_THOUGHT_END = re.compile(
    rf"(?:[<◁]/(?:{_MARKS})[>▷]|\[/think\])[ \t\r]*$", re.IGNORECASE | re.MULTILINE
)
_ECHO = re.compile(r"<record (?P<nonce>[0-9a-f]{16})>(?P<line_end>[ \t\r]*+(?:\n|\Z))?")
_ECHO_END = re.compile(r"</record ([0-9a-f]{16})>")


def answer_part(reply: str, record: str = "") -> str:
    """The reply without thinking text before the answer and without echoes of the record.

    Thoughts may come without their opening tag, which some chat templates put into the prompt. An
    echo of which the end is missing reaches to the end of the reply; an opening mark within a
    sentence is none. Where the ``record`` that was shown is given, its own fence and its own lines
    are the echoes, and nothing else is.
    """
    return find_answer(reply, record)[0]


def find_answer(reply: str, record: str = "") -> tuple[str, set[str]]:
    """The part of a reply that answers, and the repairs that it took to find it.

    Echoes go first: a record may itself contain the mark that ends a thought.
    """
    repairs: set[str] = set()
    text = reply.strip()
    if text and text[0] in ZERO_WIDTH:
        text = text.lstrip(ZERO_WIDTH + " \t\r\n")
        repairs.add("white_space")
    told = without_quotes(text, record) if record else _without_echoes(text)
    if told != text:
        repairs.add("record_echo")
    spoken = _without_thoughts(told)
    if spoken != told:
        repairs.add("thinking")
    if "\r\n" in spoken:
        spoken = spoken.replace("\r\n", "\n")
        repairs.add("white_space")
    return spoken, repairs


def _without_thoughts(text: str) -> str:
    if thought := _THOUGHT.match(text):
        return text[thought.end() :].lstrip()
    if not any(sign in text for sign in ("</", "◁/", "[/")):
        return text
    ends = [match.end() for match in _THOUGHT_END.finditer(text)]
    return text[ends[-1] :].lstrip() if ends else text


def _without_echoes(text: str) -> str:
    if "<record " not in text:
        return text
    closings: dict[str, list[int]] = {}
    for closing in _ECHO_END.finditer(text):
        closings.setdefault(closing[1], []).append(closing.end())
    kept, position = [], 0
    for opening in _ECHO.finditer(text):
        ends = closings.get(opening["nonce"], [])
        place = bisect_right(ends, opening.end())
        if opening.start() < position or (place == len(ends) and opening["line_end"] is None):
            continue
        kept.append(text[position : opening.start()])
        position = ends[place] if place < len(ends) else len(text)
    return "".join([*kept, text[position:]])
