"""The pilot: some of a stage's own questions, asked before the others and paid once (ours)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise
from typing import Any

import pandas as pd

from mira.errors import UserError
from mira.forecast.counting import PromptSizer
from mira.prompts import Message, ask_again, fenced_record
from mira.seeds import stable_hash
from mira.teacher.client import CallCounts
from mira.teacher.journal import Journal
from mira.teacher.ladder import Outcome, Reading, climb
from mira.teacher.pricing import Usage
from mira.teacher.progress import Progress
from mira.teacher.settings import TeacherSettings

_LENGTHS = 3

Read = Callable[[str, str], Reading[Any]]


@dataclass(frozen=True)
class Question:
    """One of a stage's questions; ``size`` is its prompt's, in tokens or bytes."""

    source: str
    messages: list[Message]
    size: int


@dataclass(frozen=True)
class Call:
    """A reply of the pilot, as the journal has it.

    ``cold``: nothing with the same beginning was asked before. ``seconds`` is None where the
    journal does not know how long the call took.
    """

    source: str
    size: int
    usage: Usage
    seconds: float | None
    cold: bool = False
    cut_off: bool = False


@dataclass(frozen=True)
class Piloted:
    """A question of the pilot: its calls that came with token counts, and how it ended."""

    question: Question
    calls: list[Call]
    asked_again: bool
    outcome: Outcome[Any]

    @property
    def rejected(self) -> bool:
        """Whether no usable reply came."""
        return self.outcome.rung == "rejected"


@dataclass
class Pilot:
    """All questions of a stage's pilot; ``paid`` of their calls were not in the journal."""

    piloted: list[Piloted] = field(default_factory=list)
    paid: int = 0

    @property
    def calls(self) -> list[Call]:
        """The calls of all questions."""
        return [call for piloted in self.piloted for call in piloted.calls]


# --- drawing -------------------------------------------------------------------------------------


def allocate(questions: Mapping[str, int], calls: int) -> dict[str, int]:
    """How many pilot calls each source gets: in proportion, and at least one where that is enough.

    ``questions`` has the number of questions of each source. With fewer calls than sources the
    largest get one each. Ties go by name.
    """
    total = sum(questions.values())
    calls = min(calls, total)
    by_size = sorted(questions, key=lambda source: (-questions[source], source))
    given = {source: int(number < calls) for number, source in enumerate(by_size)}

    def share_missing(source: str) -> float:
        return calls * questions[source] / total - given[source]

    while sum(given.values()) < calls:
        open_ = [source for source in by_size if given[source] < questions[source]]
        given[max(open_, key=share_missing)] += 1
    return {source: given[source] for source in questions}


def draw_pilot(records: pd.DataFrame, calls: int, *, seed: int, stage: str) -> pd.DataFrame:
    """The records of the pilot: by source in proportion, spread over thirds by length.

    ``records`` has source, id and chars. Within a third the draw is by a stable hash of the id,
    so other sources change nothing, and a smaller pilot is part of a larger one.
    """
    by_source = {str(source): rows for source, rows in records.groupby("source", sort=True)}
    given = allocate({source: len(rows) for source, rows in by_source.items()}, calls)
    drawn = []
    for source, rows in by_source.items():
        ordered = rows.sort_values(["chars", "id"], kind="stable")
        chosen = list(islice(_take_turns(list(ordered["id"]), seed, stage, source), given[source]))
        drawn.append(rows[rows["id"].isin(chosen)])
    return pd.concat(drawn, ignore_index=True)


def _take_turns(ids: Sequence[str], seed: int, stage: str, source: str) -> Iterator[str]:
    """One id from each third in turn; which third begins is chance."""

    def rank(*parts: object) -> int:
        return stable_hash(seed, "pilot", stage, source, *parts)

    cuts = [round(len(ids) * part / _LENGTHS) for part in range(_LENGTHS + 1)]
    thirds = [sorted(ids[a:b], key=rank) for a, b in pairwise(cuts)]
    thirds.sort(key=lambda third: rank("third", *third[:1]))
    for turn in range(max(map(len, thirds))):
        yield from (third[turn] for third in thirds if turn < len(third))


# --- asking --------------------------------------------------------------------------------------


async def ask_pilot(
    groups: Sequence[tuple[list[Question], Read]],
    settings: TeacherSettings,
    journal: Journal,
    sizer: PromptSizer,
    stage: str,
) -> Pilot:
    """Ask the questions of each group, with the group's reader, as the stage will ask them.

    The first question of every prefix goes alone, so that its calls are the only ones that find
    no cached prefix. Calls are live even where the stage goes through the batch API. Raises
    UserError where no question gets a usable reply, since the stage would fare no better.
    """
    # Rejections are counted here; whether they are too many is for the stage to say.
    settings = replace(settings, mode="live", max_failed_share=1.0)
    pilot = Pilot()
    for questions, read in groups:
        firsts, others = _split_by_prefix(questions)
        for part, cold in ((firsts, True), (others, False)):
            outcomes, counts = await _ask(part, read, settings, journal, stage)
            pilot.paid += counts.paid
            for question, outcome in zip(part, outcomes, strict=True):
                chain = list(_replies(question, read, settings, journal))
                calls = [
                    _call(question.source, sizer.size(messages), entry, cold and number == 0)
                    for number, (messages, entry) in enumerate(chain)
                    if entry.get("metered", True)
                ]
                pilot.piloted.append(Piloted(question, calls, len(chain) > 1, outcome))
    if pilot.piloted and all(piloted.rejected for piloted in pilot.piloted):
        last = pilot.piloted[-1].outcome
        raise UserError(
            f"None of the {len(pilot.piloted)} questions of the forecast's pilot got a usable "
            f"reply ({stage}). The last one: {last.reason}: {last.detail}. Check the endpoint "
            f"{', '.join(settings.base_urls)} and teacher.model before anything more is paid."
        )
    return pilot


def _split_by_prefix(questions: Sequence[Question]) -> tuple[list[Question], list[Question]]:
    """The first question of every prefix (all messages but the last), and the others."""
    firsts: list[Question] = []
    others: list[Question] = []
    seen = set()
    for question in questions:
        prefix = tuple(message["content"] for message in question.messages[:-1])
        (others if prefix in seen else firsts).append(question)
        seen.add(prefix)
    return firsts, others


async def _ask(
    questions: Sequence[Question],
    read: Read,
    settings: TeacherSettings,
    journal: Journal,
    stage: str,
) -> tuple[list[Outcome[Any]], CallCounts]:
    if not questions:
        return [], CallCounts()
    progress = Progress(f"pilot of {stage}", len(questions))
    asked = (question.messages for question in questions)
    return await climb(asked, len(questions), read, settings, journal, progress)


def _replies(
    question: Question,
    read: Read,
    settings: TeacherSettings,
    journal: Journal,
) -> Iterator[tuple[list[Message], Mapping[str, Any]]]:
    """Messages and entry of the first call, and of the second where there was one."""
    messages = question.messages
    first = journal.get(settings.key(messages, 0))
    if first is None:
        return
    yield messages, first
    reading = read(first["text"], fenced_record(messages[-1]["content"]))
    if reading.complete:
        return
    messages = ask_again(messages, reading.problems)
    second = journal.get(settings.key(messages, 1))
    if second is not None:
        yield messages, second


def _call(source: str, size: int, entry: Mapping[str, Any], cold: bool) -> Call:
    return Call(
        source=source,
        size=size,
        usage=Usage(**entry["usage"]),
        seconds=entry.get("seconds"),
        cold=cold,
        cut_off=entry["finish_reason"] == "length",
    )
