"""Whole-record statistics that a small student reads beside a cut view of the text (ours).

A student of a million parameters reads a few hundred tokens. These general-purpose counts tell
it about the rest: size, repetition, layout, character classes, continuity, and the turns of a
conversation. Each is put into one of eight bins and becomes one token, such as ``<s07=3>``.
They say part of what a rule-based teacher measures, so a run that uses them says so.
"""

from __future__ import annotations

import json
import re
import zlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from mira.io import read_json

BINS = 8
BINS_FILE = "statistics.json"
Bins = Sequence[Sequence[float]]

_WORD = re.compile(r"\w+")
_TURN = re.compile(r"^<\|(\w+)\|>(.*)$", re.MULTILINE)
_ERROR = re.compile(r"\b(?:error|exception|traceback|failed|invalid|not found)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Turn:
    """One turn of a rendered record: role (``text`` for plain documents), head line, body."""

    role: str
    head: str
    body: str


@dataclass(frozen=True)
class View:
    """A record's text, taken apart once."""

    text: str
    lines: list[str]
    words: list[str]
    turns: list[Turn]

    def bodies(self, *roles: str) -> list[str]:
        """Bodies of the turns with one of the roles."""
        return [turn.body for turn in self.turns if turn.role in roles]


def read_view(text: str) -> View:
    """Split a rendered record into lines, lower-case words and turns."""
    lines = [line for line in text.splitlines() if line.strip()]
    words = [word.lower() for word in _WORD.findall(text)]
    return View(text, lines, words, _turns(text))


def _turns(text: str) -> list[Turn]:
    marks = list(_TURN.finditer(text))
    if not marks:
        return [Turn("text", "", text)]
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    return [
        Turn(mark.group(1), mark.group(2).strip(), text[mark.end() : end].strip())
        for mark, end in zip(marks, ends, strict=True)
    ]


def _share(count: float, whole: float) -> float:
    return count / whole if whole else 0.0


def _overlap(first: Sequence[str], second: Sequence[str]) -> float:
    """Share of the first's distinct words that the second has too."""
    wanted = set(first)
    return _share(len(wanted & set(second)), len(wanted))


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text) if len(word) > 2]


def _characters(view: View, test: Callable[[str], bool]) -> float:
    return _share(sum(map(test, view.text)), len(view.text))


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _adjacent_overlap(view: View) -> float:
    sets = [set(_words(line)) for line in view.lines[:200]]
    overlaps = [len(a & b) / len(a | b) for a, b in pairwise(sets) if a and b]
    return _share(sum(overlaps), len(overlaps))


def _halves_overlap(view: View) -> float:
    middle = len(view.words) // 2
    return _overlap(view.words[:middle], view.words[middle:])


def _repeated_trigrams(view: View) -> float:
    grams = Counter(zip(view.words, view.words[1:], view.words[2:], strict=False))
    return _share(sum(count - 1 for count in grams.values()), sum(grams.values()))


def _unbalanced(view: View) -> float:
    opened = sum(view.text.count(c) for c in "([{")
    closed = sum(view.text.count(c) for c in ")]}")
    return _share(abs(opened - closed), opened + closed)


def _parsing_calls(view: View) -> float:
    calls = view.bodies("tool_call")
    return _share(sum(map(_is_json, calls)), len(calls))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _repeated_calls(view: View) -> float:
    calls = [(turn.head, turn.body) for turn in view.turns if turn.role == "tool_call"]
    return _share(len(calls) - len(set(calls)), len(calls))


def _answer(view: View) -> str:
    return view.turns[-1].body


def _question_overlap(view: View) -> float:
    asked = view.bodies("user")
    return _overlap(_words(asked[0]), _words(_answer(view))) if asked else 0.0


def _evidence_overlap(view: View) -> float:
    return _overlap(_words(_answer(view)), _words(" ".join(view.bodies("tool"))))


def _error_replies(view: View) -> float:
    replies = view.bodies("tool")
    return _share(sum(bool(_ERROR.search(reply)) for reply in replies), len(replies))


def _empty_turns(view: View) -> float:
    return _share(sum(not turn.body for turn in view.turns), len(view.turns))


def _indent_jumps(view: View) -> float:
    """Mean change of indentation from line to line, in characters."""
    indents = [_indent(line) for line in view.lines]
    return _share(sum(abs(b - a) for a, b in pairwise(indents)), len(indents) - 1)


def _empty_blocks(view: View) -> float:
    """Share of lines that open a block which the next line does not enter."""
    opened = [
        _indent(b) <= _indent(a)
        for a, b in pairwise(view.lines)
        if a.rstrip().endswith((":", "{", "(", "["))
    ]
    return _share(sum(opened), len(opened))


def _continued_lines(view: View) -> float:
    """Share of lines that begin in lower case, as a sentence running on does."""
    return _share(sum(line.lstrip()[:1].islower() for line in view.lines), len(view.lines))


def _change_of(measured: Callable[[View], float]) -> Callable[[View], float]:
    """How much a statistic differs between the two halves of the text."""

    def change(view: View) -> float:
        middle = len(view.text) // 2
        return abs(
            measured(_unturned(view.text[:middle])) - measured(_unturned(view.text[middle:]))
        )

    return change


def _unturned(text: str) -> View:
    return View(text, [line for line in text.splitlines() if line.strip()], [], [])


def _letters(view: View) -> float:
    return _characters(view, str.isalpha)


def _mean_line(view: View) -> float:
    return _share(sum(map(len, view.lines)), len(view.lines))


def _odd_marks(view: View) -> float:
    """How many of quotes, triple quotes and fences stand in odd number."""
    return sum(view.text.count(mark) % 2 for mark in ('"', '"""', "```", "`"))


def _full_stops(view: View) -> int:
    return view.text.count(". ") + view.text.count(".\n")


def _order_faults(view: View) -> float:
    roles = [turn.role for turn in view.turns]
    faults = sum(b == "tool" and a not in ("tool_call", "tool") for a, b in pairwise(roles))
    faults += sum(a == "tool_call" and b not in ("tool", "tool_call") for a, b in pairwise(roles))
    return _share(faults, len(roles))


STATISTICS: dict[str, Callable[[View], float]] = {
    "characters": lambda view: len(view.text),
    "lines": lambda view: len(view.lines),
    "mean line": _mean_line,
    "longest line": lambda view: max(map(len, view.lines), default=0),
    "last line": lambda view: len(view.lines[-1]) if view.lines else 0,
    "blank lines": lambda view: _share(view.text.count("\n\n"), view.text.count("\n") + 1),
    "distinct lines": lambda view: _share(
        len({line.strip() for line in view.lines}), len(view.lines)
    ),
    "compression": lambda view: _share(len(zlib.compress(view.text.encode())), len(view.text)),
    "mean indent": lambda view: _share(sum(map(_indent, view.lines)), len(view.lines)),
    "indented lines": lambda view: _share(
        sum(_indent(line) > 0 for line in view.lines), len(view.lines)
    ),
    "distinct words": lambda view: _share(len(set(view.words[:400])), len(view.words[:400])),
    "mean word": lambda view: _share(sum(map(len, view.words)), len(view.words)),
    "digits": lambda view: _characters(view, str.isdigit),
    "capitals": lambda view: _characters(view, str.isupper),
    "letters": _letters,
    "not ASCII": lambda view: _characters(view, lambda c: c > "\x7f"),
    "unbalanced brackets": _unbalanced,
    "odd marks": _odd_marks,
    "indent jumps": _indent_jumps,
    "empty blocks": _empty_blocks,
    "continued lines": _continued_lines,
    "change of letters": _change_of(_letters),
    "change of line length": _change_of(_mean_line),
    "full stops": lambda view: _share(_full_stops(view), len(view.words)),
    "finished end": lambda view: float(view.text.rstrip()[-1:] in tuple(".!?)}]\"'`>:")),
    "comment lines": lambda view: _share(
        sum(line.lstrip().startswith(("#", "//", "/*", "<!--")) for line in view.lines),
        len(view.lines),
    ),
    "adjacent overlap": _adjacent_overlap,
    "overlap of halves": _halves_overlap,
    "repeated trigrams": _repeated_trigrams,
    "turns": lambda view: len(view.turns),
    "empty turns": _empty_turns,
    "order faults": _order_faults,
    "calls that parse": _parsing_calls,
    "repeated calls": _repeated_calls,
    "error replies": _error_replies,
    "answer length": lambda view: len(_answer(view)),
    "answer role": lambda view: float(view.turns[-1].role == "assistant"),
    "answer has asked words": _question_overlap,
    "answer words in replies": _evidence_overlap,
}


def measure(text: str) -> np.ndarray:
    """All statistics of a rendered record, in the order of ``STATISTICS``."""
    view = read_view(text)
    return np.array([statistic(view) for statistic in STATISTICS.values()])


def fit_bins(texts: Sequence[str]) -> list[list[float]]:
    """Inner bin edges per statistic: quantiles over the texts, repeated edges left out."""
    values = np.array([measure(text) for text in texts])
    quantiles = np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1], axis=0)
    return [sorted(set(column.tolist())) for column in quantiles.T]


def statistic_tokens() -> list[str]:
    """Every token that a student with statistics needs to know."""
    return [f"<s{i:02d}={b}>" for i in range(len(STATISTICS)) for b in range(BINS)]


def describe(text: str, bins: Bins) -> str:
    """The record's statistics as a line of tokens."""
    found = map(bisect_right, bins, measure(text))
    return "".join(f"<s{i:02d}={b}>" for i, b in enumerate(found))


def load_bins(model_dir: Path) -> list[list[float]] | None:
    """The statistics' bins that a student was trained with, or None for one without."""
    path = model_dir / BINS_FILE
    return read_json(path) if path.exists() else None
