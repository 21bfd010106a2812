"""A parsed view of one record: its turns, question, answer, tool calls, words and code.

Everything is computed once, on first use. Word-level measures of a record longer than 12,000
characters look at three windows of 4,000: head, middle and tail.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mira.records import Family
from mira.teacher.embedded import lexicon

WINDOW = 4_000
_MARKER = re.compile(r"^<\|(system|user|assistant|tool_call|tool)\|>[ ]?(.*)\n?", re.MULTILINE)
_FENCE = re.compile(
    r"^[ ]{0,3}(?:```|~~~+)([\w+-]*)[^\n]*\n(.*?)^[ ]{0,3}(?:```|~~~+)[ ]*$", re.M | re.S
)
_DOCTEST = re.compile(r"^\s*(?:>>>|\.\.\.)(?: (.*))?$", re.MULTILINE)
_PYTHON_LINE = re.compile(
    r"^\s*(?:def |class |import \w|from [\w.]+ import|return\b|(?:el)?if .*:|else:|for .* in .*:"
    r"|while .*:|try:|except\b|with .*:|raise\b|assert\b|@\w|#|self\.|yield\b"
    r"|[\w.\[\]]+ [-+*/|]?= )",
    re.MULTILINE,
)
_PYTHON_SURE = re.compile(
    r"^\s*(?:def \w+\(|class \w+|import \w+|from [\w.]+ import)", re.MULTILINE
)
_TAG = re.compile(r"</?[A-Za-z][\w-]*(?:\s[^<>]*)?/?>")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n\s*\n")
_ERROR = re.compile(
    r"\A\W*(?:error|traceback|exception|fail(?:ed|ure)|invalid|usage:|unknown|usage error)"
    r"|^\w*(?:Error|Exception)\b(?:\(|:)|\"(?:error|exception)\":\s*[^nf\s]|\bno such"
    r" (?:file|table|column)"
    r"|command not found|syntax error|permission denied|exit (?:code|status):? [1-9]"
    r"|does ?n[o']t exist"
    r"|\bnot found\b|unrecognized|missing \d* ?required",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True)
class Turn:
    """One turn: role (system, user, assistant, tool, tool_call), its text, a tool call's name."""

    role: str
    text: str
    name: str = ""


@dataclass(frozen=True)
class Call:
    """A tool call at a turn, the thought before it, the reply after it (None if unanswered)."""

    turn: int
    name: str
    raw: str
    value: Any
    thought: str
    reply: str | None

    @property
    def valid(self) -> bool:
        """Whether the arguments are exactly one JSON object."""
        return isinstance(self.value, dict)

    @property
    def failed(self) -> bool:
        """Whether the reply reports an error."""
        return self.reply is not None and reports_error(self.reply)


def reports_error(reply: str) -> bool:
    """Whether a tool reply opens or ends like an error message."""
    ends = reply if len(reply) <= 500 else f"{reply[:250]}\n{reply[-250:]}"
    return bool(_ERROR.search(ends))


@dataclass(frozen=True)
class Document:
    """A record as the judge sees it: its rendered text and its family."""

    text: str
    family: Family

    @cached_property
    def turns(self) -> list[Turn]:
        """The record's turns; empty for a plain document."""
        found = []
        marks = list(_MARKER.finditer(self.text))
        for position, mark in enumerate(marks):
            end = marks[position + 1].start() if position + 1 < len(marks) else len(self.text)
            found.append(Turn(mark[1], self.text[mark.end() : end].strip("\n"), mark[2].strip()))
        return found

    def said(self, *roles: str) -> str:
        """The text of all turns with one of these roles, joined by blank lines."""
        return "\n\n".join(turn.text for turn in self.turns if turn.role in roles and turn.text)

    @cached_property
    def body(self) -> str:
        """What a reader reads: turns without marker lines and system prompt, or the document."""
        if not self.turns:
            return self.text
        return "\n\n".join(t.text for t in self.turns if t.role != "system" and t.text)

    @cached_property
    def question(self) -> str:
        """The user's words; of a plain document, its first paragraph."""
        if self.turns:
            return self.said("user")
        return self.text.strip().partition("\n\n")[0]

    @cached_property
    def answer(self) -> str:
        """The assistant's words; of a plain document, what follows its first paragraph."""
        if self.turns:
            return self.said("assistant")
        return self.text.strip().partition("\n\n")[2]

    @cached_property
    def task(self) -> str:
        """The first user turn, or the document's first paragraph."""
        return next((t.text for t in self.turns if t.role == "user"), self.question)

    @cached_property
    def final_answer(self) -> str:
        """The closing assistant turn; empty if the record closes with anything else."""
        if self.turns and self.turns[-1].role == "assistant":
            return self.turns[-1].text
        return ""

    @cached_property
    def ending(self) -> str:
        """The part whose end is the record's end, for judging whether it was cut off."""
        return self.turns[-1].text if self.turns else self.text

    @cached_property
    def calls(self) -> list[Call]:
        """Tool calls in order, each with the reply that answers it."""
        calls: list[Call] = []
        for index, turn in enumerate(self.turns):
            if turn.role == "tool_call":
                value, thought = _parse_json(turn.text), self._thought(index)
                calls.append(Call(index, turn.name, turn.text, value, thought, self._reply(index)))
        return calls

    def _thought(self, index: int) -> str:
        for turn in reversed(self.turns[:index]):
            if turn.role == "assistant":
                return turn.text
            if turn.role != "tool_call":
                return ""
        return ""

    def _reply(self, index: int) -> str | None:
        """The n-th call of a block of calls is answered by the n-th reply after the block."""
        first = index
        while first and self.turns[first - 1].role == "tool_call":
            first -= 1
        last = index
        while last + 1 < len(self.turns) and self.turns[last + 1].role == "tool_call":
            last += 1
        place = last + 1 + index - first
        block = self.turns[last + 1 : place + 1]
        if len(block) == index - first + 1 and all(turn.role == "tool" for turn in block):
            return block[-1].text
        return None

    @cached_property
    def replies(self) -> list[str]:
        """Tool replies in order."""
        return [turn.text for turn in self.turns if turn.role == "tool"]

    @cached_property
    def lines(self) -> list[str]:
        """The body's lines that are not blank, trailing space removed."""
        return [line.rstrip() for line in self.body.splitlines() if line.strip()]

    @cached_property
    def window(self) -> str:
        """The body, or head, middle and tail of a long one."""
        body = self.body
        if len(body) <= 3 * WINDOW:
            return body
        middle = (len(body) - WINDOW) // 2
        return "\n".join((body[:WINDOW], body[middle : middle + WINDOW], body[-WINDOW:]))

    @cached_property
    def words(self) -> list[str]:
        """Lower-case words of the window."""
        return lexicon.words(self.window)

    @cached_property
    def line_terms(self) -> list[list[str]]:
        """Content terms of each line of the window that is not blank."""
        return [lexicon.terms(line) for line in self.window.splitlines() if line.strip()]

    @cached_property
    def terms(self) -> list[str]:
        """Content terms of the window."""
        return [term for line in self.line_terms for term in line]

    @cached_property
    def references(self) -> list[str]:
        """Code references of the window: quoted code, calls, dotted and snake-case names, paths."""
        return lexicon.REFERENCE.findall(self.window)

    @cached_property
    def reasons(self) -> list[str]:
        """Words of the window that give a reason, a condition or a consequence."""
        return lexicon.REASONING.find(self.window)

    @cached_property
    def question_terms(self) -> list[str]:
        """Content terms of the question."""
        return lexicon.terms(self.question[: 2 * WINDOW])

    @cached_property
    def answer_terms(self) -> list[str]:
        """Content terms of the answer."""
        return lexicon.terms(self.answer[: 3 * WINDOW])

    @cached_property
    def answer_words(self) -> int:
        """Number of words in the answer."""
        return len(lexicon.words(self.answer))

    @cached_property
    def prose(self) -> str:
        """The window without fenced code, tags and lines that look like program text."""
        text = _TAG.sub(" ", _FENCE.sub("\n\n", self.window))
        kept = [line for line in text.splitlines() if not _looks_like_code(line)]
        return "\n".join(kept)

    @cached_property
    def sentences(self) -> list[str]:
        """Sentences of the prose that have at least three words."""
        pieces = (" ".join(piece.split()) for piece in _SENTENCE_END.split(self.prose))
        return [piece for piece in pieces if len(lexicon.WORD.findall(piece)) >= 3]

    @cached_property
    def paragraphs(self) -> list[str]:
        """Blocks of the body between blank lines."""
        return [block for block in re.split(r"\n\s*\n", self.body) if block.strip()]

    @cached_property
    def kind(self) -> str:
        """What the body is mostly made of: python, html, json or prose."""
        head = self.window
        if self.turns or not self.lines:
            return "prose"
        if len(_TAG.findall(head)) >= max(3, len(head) / 400):
            return "html"
        if head.lstrip()[:1] in "{[" and self.lines[-1].rstrip()[-1:] in "]}":
            return "json"
        share = len(_PYTHON_LINE.findall(head)) / max(1, head.count("\n") + 1)
        if share > 0.2 and _PYTHON_SURE.search(head) and "```" not in head:
            return "python"
        return "prose"

    @cached_property
    def code(self) -> str:
        """Python source in the record: all of it, its fenced blocks, or its doctest input."""
        if self.kind == "python":
            return self.text
        blocks = [
            match[2] for match in _FENCE.finditer(self.body) if _is_python(match[1], match[2])
        ]
        if blocks:
            return "\n".join(blocks)
        if self.kind == "prose":
            return "\n".join(match[1] or "" for match in _DOCTEST.finditer(self.body))
        return ""

    @cached_property
    def code_blocks(self) -> list[str]:
        """All fenced blocks, whatever their language."""
        return [match[2] for match in _FENCE.finditer(self.body)]


def _is_python(label: str, block: str) -> bool:
    return label in ("python", "py", "python3") or (not label and bool(_PYTHON_SURE.search(block)))


def _looks_like_code(line: str) -> bool:
    marks = sum(line.count(mark) for mark in "=(){}[]<>;_|\\")
    return marks > 0.08 * len(line.strip()) + 1 or bool(_PYTHON_SURE.match(line))


def _parse_json(raw: str) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return None
