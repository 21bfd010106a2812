"""Readout ``expected`` from an engine that only continues token ids and tells log-probabilities.

A record's scores-only answer is decoded freely in one request. As long as the student writes the
answer's own tokens, what it was conditioned on is what the definition forces, and nothing else
has to be asked. From its first other token on, the answer is forced slot by slot, on a prefix
that the engine's cache holds (ours; the definition is in :mod:`mira.scoring.engine`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mira.scoring.engine import Prompt, Skeleton
from mira.scoring.expected import (
    NEGLIGIBLE_ONE,
    chosen_score,
    divide_ten,
    normalise,
    unreadable,
)
from mira.scoring.tokens import ScoreTokens


@dataclass(frozen=True)
class Question:
    """Token ids to continue greedily by at most ``max_tokens``."""

    ids: tuple[int, ...]
    max_tokens: int


@dataclass(frozen=True)
class Answer:
    """Tokens written, and at each of them the log-probabilities of the tokens watched."""

    tokens: Sequence[int]
    logprobs: Sequence[Mapping[int, float]]


Ask = Callable[[Sequence[Question], Sequence[int]], Sequence[Answer | None]]
"""Answers to questions, with the tokens to watch; None where the engine gave no answer."""


def read_expected(prompts: Sequence[Prompt], skeleton: Skeleton, ask: Ask) -> np.ndarray:
    """Probability of every score in every slot: float64 of shape (prompts, slots, 11).

    All NaN where the student is not scoring, and from a question on that was not answered.
    """
    watched = watched_tokens(skeleton.tokens)
    readings = [_Reading(prompt.ids, skeleton) for prompt in prompts]
    waiting = readings
    while waiting:
        answers = ask([reading.question() for reading in waiting], watched)
        for reading, answer in zip(waiting, answers, strict=True):
            reading.take(answer)
        waiting = [reading for reading in waiting if not reading.finished]
    _ask_endings(readings, ask, watched)
    return np.array([reading.probabilities() for reading in readings]).reshape(
        len(prompts), len(skeleton.slots), 11
    )


def read_fitting(
    prompts: Sequence[Prompt], skeleton: Skeleton, ask: Ask, max_tokens: int
) -> np.ndarray:
    """:func:`read_expected`, all NaN for a prompt that leaves no room in ``max_tokens``."""
    fitting = fitting_rows(prompts, max_tokens - longest_question(skeleton))
    found = np.full((len(prompts), len(skeleton.slots), 11), np.nan)
    if fitting:
        found[fitting] = read_expected([prompts[row] for row in fitting], skeleton, ask)
    return found


def fitting_rows(prompts: Sequence[Prompt], room: int) -> list[int]:
    """Numbers of the prompts that take at most ``room`` tokens."""
    return [row for row, prompt in enumerate(prompts) if len(prompt.ids) <= room]


def answer_length(skeleton: Skeleton) -> int:
    """The most tokens that the scores-only answer takes from its first score on."""
    widest = 2 if skeleton.tokens.ten_is_split else 1
    between = len(skeleton.separator) * (len(skeleton.slots) - 1)
    return widest * len(skeleton.slots) + between + sum(map(len, skeleton.prefixes[1:]))


def longest_question(skeleton: Skeleton) -> int:
    """The most tokens that reading ``expected`` puts behind a prompt, its answer included."""
    return len(skeleton.prefixes[0]) + answer_length(skeleton)


def watched_tokens(tokens: ScoreTokens) -> list[int]:
    """Every token whose probability some slot needs."""
    return list(dict.fromkeys([*tokens.first, *tokens.endings]))


@dataclass
class _Slot:
    """``ending`` are the probabilities of the line's end and of "0" after a "1"."""

    first: np.ndarray
    written: tuple[int, ...]
    ending: np.ndarray = field(default_factory=lambda: np.full(2, np.nan))
    unread: bool = False


class _Reading:
    """One record on its way through the slots."""

    def __init__(self, prompt: tuple[int, ...], skeleton: Skeleton):
        self._prompt = prompt
        self._skeleton = skeleton
        self._tokens = skeleton.tokens
        self._written = list(skeleton.prefixes[0])
        self._told: np.ndarray | None = None
        self._deviated = False
        self._failed = False
        self.slots: list[_Slot] = []

    @property
    def finished(self) -> bool:
        return self._failed or len(self.slots) == len(self._skeleton.slots)

    @property
    def asks_endings(self) -> bool:
        return self._tokens.ten_is_split

    def question(self) -> Question:
        """What to ask next: the whole answer first, single slots once it has deviated."""
        written = tuple(self._written)
        if self._told is not None:
            return Question((*self._prompt, *written, self._tokens.first[1]), 1)
        if not self._deviated:
            return Question((*self._prompt, *written), answer_length(self._skeleton))
        return Question((*self._prompt, *written), 2 if self._tokens.ten_is_split else 1)

    def take(self, answer: Answer | None) -> None:
        """Read as many slots from an answer as follow the skeleton."""
        if answer is None or not answer.logprobs:
            self._failed = True
        elif self._told is not None:
            ending = self._ending(answer.logprobs[0])
            self._failed = ending is None
            if ending is not None:
                self._finish_slot(self._told, ending)
            self._told = None
        else:
            self._walk(answer)
            self._deviated = True

    def ending_question(self, slot: _Slot) -> Question:
        return Question((*self._prompt, *slot.written, self._tokens.first[1]), 1)

    def take_ending(self, slot: _Slot, answer: Answer | None) -> None:
        ending = self._ending(answer.logprobs[0]) if answer and answer.logprobs else None
        if ending is None:
            slot.unread = True
        else:
            slot.ending = ending

    def probabilities(self) -> np.ndarray:
        """Shape (slots, 11)."""
        rows = np.full((len(self._skeleton.slots), 11), np.nan)
        for number, slot in enumerate(self.slots):
            if not slot.unread:
                split = self._tokens.ten_is_split
                rows[number] = divide_ten(slot.first, slot.ending) if split else slot.first
        return rows

    def _walk(self, answer: Answer) -> None:
        place = 0
        while not self.finished and place < len(answer.tokens):
            told = _told(self._first_tokens(), answer.logprobs[place])
            if told is None:
                self._failed = True
                return
            ending = None
            if self._tokens.ten_is_split and int(told.argmax()) == 1:
                follows = answer.tokens[place] == self._tokens.first[1]
                if not follows or place + 1 == len(answer.tokens):
                    self._told = told
                    return
                ending = self._ending(answer.logprobs[place + 1])
                if ending is None:
                    self._failed = True
                    return
            line = self._finish_slot(told, ending)
            if list(answer.tokens[place : place + len(line)]) != line:
                return
            place += len(line)

    def _finish_slot(self, told: np.ndarray, ending: np.ndarray | None) -> list[int]:
        """Keep a slot that is read; the tokens from its score to the next one.

        ``told`` are the log-probabilities of the scores' first tokens.
        """
        number = len(self.slots)
        first = normalise(told)
        slot = _Slot(first, tuple(self._written), unread=bool(unreadable(told)))
        if ending is not None:
            slot.ending = ending
        self.slots.append(slot)
        line = self._skeleton.line(number, chosen_score(first, ending, self._tokens))
        line = line[len(self._skeleton.prefixes[number]) :]
        if number + 1 < len(self._skeleton.slots):
            line += self._skeleton.prefixes[number + 1]
        self._written += line
        return line

    def _first_tokens(self) -> Sequence[int]:
        return self._tokens.first[:10] if self._tokens.ten_is_split else self._tokens.first

    def _ending(self, logprobs: Mapping[int, float]) -> np.ndarray | None:
        told = _told(self._tokens.endings, logprobs)
        return None if told is None else normalise(told)


def _told(tokens: Sequence[int], logprobs: Mapping[int, float]) -> np.ndarray | None:
    """Log-probabilities of ``tokens``; None where one of them is not told."""
    if not all(token in logprobs for token in tokens):
        return None
    return np.array([logprobs[token] for token in tokens])


def _ask_endings(readings: Sequence[_Reading], ask: Ask, watched: Sequence[int]) -> None:
    """Ask what follows a "1" where it was not chosen and still counts, all at once."""
    open_slots = [
        (reading, slot)
        for reading in readings
        for slot in reading.slots
        if reading.asks_endings
        and not slot.unread
        and np.isnan(slot.ending).any()
        and slot.first[1] >= NEGLIGIBLE_ONE
    ]
    if not open_slots:
        return
    answers = ask([reading.ending_question(slot) for reading, slot in open_slots], watched)
    for (reading, slot), answer in zip(open_slots, answers, strict=True):
        reading.take_ending(slot, answer)
