"""Records spoiled in known ways, so that the selection can be measured (demo only, ours).

Which records are spoiled, and how, stands only in the table that :func:`spoil_records` returns
beside the records: the records themselves carry no mark, and their ids stay.
"""

from __future__ import annotations

import json
import re
from bisect import bisect
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from mira.records import Family, Record, render
from mira.sampling import damage
from mira.sampling.damage import Damage, Rng
from mira.seeds import derive_rng, stable_hash

DONORS_PER_SOURCE = 8
DONOR_SOURCES = 3
MAX_OVERLAP = 0.6
MIN_MISREAD = 6
MIN_MISREAD_SHARE = 0.02
# A seventh of this must not be so short that the reading stage rejects it.
TRUNCATED_MIN_CHARS = 700
TOOL_ERRORS = (
    "",
    "null",
    "Error: connection timed out",
    "Error: tool returned no output",
    "[tool output unavailable]",
)

Message = dict[str, Any]


@dataclass(frozen=True)
class Donors:
    """Intact records whose content may end up in a spoiled one."""

    same: list[Record] = field(default_factory=list)
    other: list[Record] = field(default_factory=list)


@dataclass(frozen=True)
class Spoiler:
    """One kind of damage; ``apply`` gives a new record, or None where it does not apply."""

    name: str
    families: tuple[Family, ...]
    apply: Callable[[Record, Donors, Rng], Record | None]


def spoil_records(
    records: Sequence[Record], share: float, seed: int
) -> tuple[list[Record], pd.DataFrame]:
    """Spoil exactly ``round(share * n)`` of each source's n records; the input is left as it is.

    Returns the records in their order, and a table with the columns id, source, family, spoiled,
    kind (null where intact). Which records are spoiled hangs on seed and id alone: another source
    changes neither the choice nor the kind, at most whose text an off-topic splice takes. Fewer
    are spoiled only where a source runs out of records to which any kind applies.
    """
    rings = _Rings(records, seed)
    result = list(records)
    kinds: dict[int, str] = {}
    for positions in _by_source(records).values():
        target = round(share * len(positions))
        ranked = sorted(positions, key=lambda i: stable_hash(seed, "spoil", records[i]["id"]))
        for position in ranked:
            if target == 0:
                break
            if spoiled := _spoil(records[position], rings.donors(records[position]), seed):
                kinds[position], result[position] = spoiled
                target -= 1
    table = pd.DataFrame(
        {
            "id": [record["id"] for record in records],
            "source": [record["source"] for record in records],
            "family": [record["family"] for record in records],
            "spoiled": [i in kinds for i in range(len(records))],
            "kind": pd.array([kinds.get(i) for i in range(len(records))], dtype="str"),
        }
    )
    return result, table


def _spoil(record: Record, donors: Donors, seed: int) -> tuple[str, Record] | None:
    rng = derive_rng(seed, "spoil", record["id"])
    kinds = [spoiler for spoiler in SPOILERS.values() if record["family"] in spoiler.families]
    for i in rng.permutation(len(kinds)):
        spoiled = kinds[i].apply(record, donors, rng)
        if spoiled is not None and render(spoiled) != render(record):
            return kinds[i].name, spoiled
    return None


def _by_source(records: Sequence[Record]) -> dict[str, list[int]]:
    positions = defaultdict(list)
    for i, record in enumerate(records):
        positions[record["source"]].append(i)
    return positions


class _Rings:
    """Each source's records in the order of their hash, as a ring to pick donors from.

    A record's donors are its successors on the ring, so a record more or less changes the
    donors of its neighbours only.
    """

    def __init__(self, records: Sequence[Record], seed: int) -> None:
        self.seed = seed
        self.rings: dict[str, list[tuple[int, int]]] = {}
        self.records = records
        for source, positions in _by_source(records).items():
            self.rings[source] = sorted((self._place(records[i]), i) for i in positions)

    def donors(self, record: Record) -> Donors:
        others = [source for source in self.rings if source != record["source"]]
        others.sort(key=lambda source: stable_hash(self.seed, "donor", record["id"], source))
        return Donors(
            same=self._successors(record, record["source"], DONORS_PER_SOURCE),
            other=[
                donor
                for source in others[:DONOR_SOURCES]
                for donor in self._successors(record, source, DONORS_PER_SOURCE)
            ],
        )

    def _place(self, record: Record) -> int:
        return stable_hash(self.seed, "donor", record["id"])

    def _successors(self, record: Record, source: str, count: int) -> list[Record]:
        ring = self.rings[source]
        start = bisect(ring, (self._place(record), len(self.records)))
        found = [ring[(start + i) % len(ring)][1] for i in range(min(count, len(ring)))]
        donors = [self.records[i] for i in found]
        return [d for d in donors if (d["source"], d["id"]) != (record["source"], record["id"])]


def _content(
    damage_text: Damage, min_chars: int = 1
) -> Callable[[Record, Donors, Rng], Record | None]:
    """Apply damage to what a record is about: its text, or its last answer."""

    def apply(record: Record, donors: Donors, rng: Rng) -> Record | None:
        content = _main_content(record)
        if content is None or len(content) < min_chars:
            return None
        damaged = damage_text(content, rng)
        return None if damaged is None else _with_main_content(record, damaged)

    return apply


def _main_content(record: Record) -> str | None:
    if "messages" not in record:
        return record["text"]
    position = _answer_position(record)
    return None if position is None else record["messages"][position]["content"]


def _with_main_content(record: Record, content: str) -> Record:
    if "messages" not in record:
        return {**record, "text": content}
    position = _answer_position(record)
    messages = [
        {**message, "content": content} if i == position else message
        for i, message in enumerate(record["messages"])
    ]
    return {**record, "messages": messages}


def _answer_position(record: Record) -> int | None:
    positions = [
        i
        for i, message in enumerate(record["messages"])
        if message["role"] == "assistant" and (message.get("content") or "").strip()
    ]
    return positions[-1] if positions else None


def _mojibake(record: Record, donors: Donors, rng: Rng) -> Record | None:
    """All content misread, where that shows: tool arguments stay, and may be most of a trace."""
    damaged = record.copy()
    if "messages" in record:
        damaged["messages"] = [
            {**message, "content": damage.mojibake(message.get("content") or "", rng)}
            for message in record["messages"]
        ]
    else:
        damaged["text"] = damage.mojibake(record["text"], rng)
    length = len(render(record))
    growth = len(render(damaged)) - length
    return damaged if growth >= max(MIN_MISREAD, MIN_MISREAD_SHARE * length) else None


def _offtopic_splice(record: Record, donors: Donors, rng: Rng) -> Record | None:
    foreign = [_plain(donor) for donor in donors.other]
    return _content(lambda text, rng: damage.spliced(text, foreign, rng))(record, donors, rng)


def _plain(record: Record) -> str:
    if "messages" not in record:
        return record["text"]
    return "\n".join(m["content"] for m in record["messages"] if m.get("content"))


def _answer_swapped(record: Record, donors: Donors, rng: Rng) -> Record | None:
    """The last answer replaced by the least similar one of eight donors of the same source."""
    answer = _main_content(record)
    if answer is None or "messages" not in record:
        return None
    question = _question(record)
    candidates = [
        (_overlap(answer, foreign), i, foreign)
        for i, donor in enumerate(donors.same)
        if _question(donor) != question and (foreign := _main_content(donor)) is not None
    ]
    if not candidates or min(candidates)[0] > MAX_OVERLAP:
        return None
    return _with_main_content(record, min(candidates)[2])


def _final_answer_swapped(record: Record, donors: Donors, rng: Rng) -> Record | None:
    """The answer that ends a trace replaced by that of another trace of the same source."""
    ended = [donor for donor in donors.same if _has_final_answer(donor)]
    if not _has_final_answer(record):
        return None
    return _answer_swapped(record, Donors(same=ended), rng)


def _has_final_answer(record: Record) -> bool:
    last: Message = record.get("messages", [{"role": "none"}])[-1]
    return last["role"] == "assistant" and not last.get("tool_calls") and bool(last.get("content"))


def _question(record: Record) -> str:
    asked = [m["content"] for m in record.get("messages", ()) if m["role"] == "user"]
    return "\n".join(asked)


def _overlap(a: str, b: str) -> float:
    """Jaccard similarity of the two texts' words."""
    words_a, words_b = (set(re.findall(r"\w+", text.lower())) for text in (a, b))
    return len(words_a & words_b) / max(1, len(words_a | words_b))


def _broken_tool_calls(record: Record, donors: Donors, rng: Rng) -> Record | None:
    """Arguments of most calls made unreadable as JSON; the replies stay as if all were well."""
    calls = [call for m in record.get("messages", ()) for call in m.get("tool_calls") or ()]
    broken = [_break_arguments(call["function"]["arguments"], rng) for call in calls]
    spared = rng.random(len(calls)) < 0.25
    if len(calls) < 2 or all(spared):
        spared[:] = False
    arguments = iter([None if keep else b for keep, b in zip(spared, broken, strict=True)])
    messages = [
        {**m, "tool_calls": [_with_arguments(call, next(arguments)) for call in m["tool_calls"]]}
        if m.get("tool_calls")
        else m
        for m in record.get("messages", ())
    ]
    return {**record, "messages": messages} if any(broken) else None


def _with_arguments(call: Message, arguments: str | None) -> Message:
    if arguments is None:
        return call
    return {**call, "function": {**call["function"], "arguments": arguments}}


def _break_arguments(arguments: str, rng: Rng) -> str | None:
    cut = arguments[: max(1, int(len(arguments) * rng.uniform(0.4, 0.8)))]
    ways = [cut, f"{arguments}{arguments}", f"{cut}{arguments}", arguments.replace('"', "")]
    for i in rng.permutation(len(ways)):
        if ways[i] != arguments and not _is_json(ways[i]):
            return ways[i]
    return None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _tool_results_lost(record: Record, donors: Donors, rng: Rng) -> Record | None:
    """Most tool replies emptied or replaced by an error, while the agent goes on regardless."""
    messages = record.get("messages", [])
    replies = [i for i, m in enumerate(messages) if m["role"] == "tool" and m.get("content")]
    if not replies:
        return None
    n_lost = max(1, round(len(replies) * rng.uniform(0.6, 1.0)))
    lost = {replies[i] for i in rng.permutation(len(replies))[:n_lost]}
    instead = TOOL_ERRORS[rng.integers(len(TOOL_ERRORS))]
    return {
        **record,
        "messages": [{**m, "content": instead} if i in lost else m for i, m in enumerate(messages)],
    }


def _split_steps(record: Record) -> tuple[list[Message], list[list[Message]]]:
    """What precedes the agent, and its steps: a turn of the assistant with all that answers it."""
    head: list[Message] = []
    steps: list[list[Message]] = []
    for message in record.get("messages", ()):
        if message["role"] == "assistant":
            steps.append([message])
        else:
            (steps[-1] if steps else head).append(message)
    return head, steps


def _joined(record: Record, head: list[Message], steps: Sequence[list[Message]]) -> Record:
    return {**record, "messages": [*head, *(message for step in steps for message in step)]}


def _steps_repeated(record: Record, donors: Donors, rng: Rng) -> Record | None:
    """Answered steps repeated three to five times each, until the trace has grown by half.

    A step that failed comes first: an agent that does not learn from an error.
    """
    head, steps = _split_steps(record)
    answered = [i for i in rng.permutation(len(steps)) if len(steps[i]) > 1]
    answered.sort(key=lambda i: not _failed(steps[i]))
    length = _length(head) + sum(map(_length, steps))
    copies: dict[int, int] = {}
    growth = 0
    for i in answered:
        if growth >= length / 2:
            break
        copies[i] = int(rng.integers(3, 6))
        growth += copies[i] * _length(steps[i])
    repeated = [
        _renamed(step, k) for i, step in enumerate(steps) for k in range(1 + copies.get(i, 0))
    ]
    return _joined(record, head, repeated) if copies else None


def _failed(step: list[Message]) -> bool:
    replies = " ".join(message.get("content") or "" for message in step[1:]).lower()
    return bool(re.search(r"error|exception|traceback|not found|no such|failed|invalid", replies))


def _length(messages: list[Message]) -> int:
    return len(render({"messages": messages}))


def _renamed(step: list[Message], copy: int) -> list[Message]:
    """The step with call ids of its own; the original (copy 0) keeps its ids."""
    if copy == 0:
        return step
    renamed = []
    for message in step:
        message = dict(message)
        if message.get("tool_calls"):
            calls = message["tool_calls"]
            message["tool_calls"] = [{**call, "id": f"{call['id']}_{copy}"} for call in calls]
        if message.get("tool_call_id"):
            message["tool_call_id"] = f"{message['tool_call_id']}_{copy}"
        renamed.append(message)
    return renamed


def _steps_shuffled(record: Record, donors: Donors, rng: Rng) -> Record | None:
    """At least three steps in an order in which at least half of them have moved."""
    head, steps = _split_steps(record)
    if len(steps) < 3:
        return None
    for _ in range(20):
        order = rng.permutation(len(steps))
        if sum(i != place for place, i in enumerate(order)) >= len(steps) / 2:
            return _joined(record, head, [steps[i] for i in order])
    return None


def _truncated_trace(record: Record, donors: Donors, rng: Rng) -> Record | None:
    """The first quarter to half of the steps; half of the time the last call has no reply."""
    if "messages" not in record:
        return _content(damage.truncated, TRUNCATED_MIN_CHARS)(record, donors, rng)
    head, steps = _split_steps(record)
    if len(steps) < 2:
        return None
    kept = steps[: max(1, int(len(steps) * rng.uniform(0.25, 0.5)))]
    if kept[-1][0].get("tool_calls") and rng.random() < 0.5:
        kept[-1] = kept[-1][:1]
    return _joined(record, head, kept)


SPOILERS: dict[str, Spoiler] = {
    spoiler.name: spoiler
    for spoiler in (
        Spoiler("shuffled_lines", ("text",), _content(damage.shuffled_lines)),
        Spoiler("duplicated_lines", ("text",), _content(damage.duplicated_lines)),
        Spoiler("lost_indentation", ("text",), _content(damage.lost_indentation)),
        Spoiler("truncated", ("text",), _content(damage.truncated, TRUNCATED_MIN_CHARS)),
        Spoiler("boilerplate_padding", ("text", "qa"), _content(damage.boilerplate_padding)),
        Spoiler("mojibake", ("text", "qa", "agent"), _mojibake),
        Spoiler("offtopic_splice", ("text", "qa"), _offtopic_splice),
        Spoiler("answers_swapped", ("qa",), _answer_swapped),
        Spoiler("truncated_answer", ("qa",), _content(damage.truncated)),
        Spoiler("shuffled_answer_lines", ("qa",), _content(damage.shuffled_lines)),
        Spoiler("repeated_answer", ("qa",), _content(damage.repeated)),
        Spoiler("broken_tool_calls", ("agent",), _broken_tool_calls),
        Spoiler("tool_results_lost", ("agent",), _tool_results_lost),
        Spoiler("steps_repeated", ("agent",), _steps_repeated),
        Spoiler("steps_shuffled", ("agent",), _steps_shuffled),
        Spoiler("truncated_trace", ("agent",), _truncated_trace),
        Spoiler("final_answer_swapped", ("agent",), _final_answer_swapped),
    )
}
