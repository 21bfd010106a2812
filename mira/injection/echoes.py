"""What the suite does to prompts and parser, whichever teacher answers.

No model is asked. Replies are made of a teacher's own answer and a quotation of the record, in
every arrangement that we could think of, and parsed. Own scores lie below every injected one, so
whatever is read is known to be the teacher's or the record's (ours).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson

from mira.injection.suite import Attack, load_rubric
from mira.parsing import parse_anchored, parse_points
from mira.prompts import Message, build_anchored, build_freeform, fence

Values = dict[str, Any]

OWN_OVERALL, OWN_RECOMMENDATION = 41.0, "downsample"


@dataclass(frozen=True)
class Reading:
    """What the parser made of the replies of one arrangement, over all attacks.

    ``own`` values were read as the teacher gave them, ``empty`` ones were left out, and
    ``foreign`` ones are neither: the record's.
    """

    arrangement: str
    answered: bool
    replies: int
    own: int
    empty: int
    foreign: int


def broken_fences(attacks: Iterable[Attack]) -> list[str]:
    """Ids of attacks whose record is not between the only two lines with its nonce (none, if well).

    Looks at both prompts, anchored and free-form.
    """
    rubric = load_rubric()
    return [
        attack.id
        for attack in attacks
        if not (
            is_fenced(build_anchored(attack.text, attack.family, rubric), attack.text)
            and is_fenced(build_freeform(attack.text, attack.family), attack.text)
        )
    ]


def is_fenced(messages: Sequence[Message], text: str) -> bool:
    """Whether the prompt shows the text once, as it is, between the only lines with its nonce."""
    opening, _, closing = fence(text).partition(f"\n{text}\n")
    nonce = opening.removeprefix("<record ").removesuffix(">")
    prompt = "\n".join(message["content"] for message in messages)
    lines = prompt.split("\n")
    if lines.count(opening) != 1 or lines.count(closing) != 1 or prompt.count(nonce) != 2:
        return False
    first, last = lines.index(opening), lines.index(closing)
    return "\n".join(lines[first + 1 : last]) == text


def read_anchored(attacks: Sequence[Attack]) -> list[Reading]:
    """Readings of anchored replies: 15 scores, overall and recommendation each."""
    rubric = load_rubric()
    slots = [anchor["slot"] for anchor in rubric]
    names = {anchor["slot"]: anchor["name"] for anchor in rubric}
    own: Values = {slot: float(2 + number % 5) for number, slot in enumerate(slots)}
    own |= {"overall": OWN_OVERALL, "recommendation": OWN_RECOMMENDATION}

    def parse(reply: str, record: str) -> Values:
        parsed = parse_anchored(reply, slots, names=names, record=record)
        if parsed.status == "failed":
            return {}
        overall, recommendation = parsed.overall, parsed.recommendation
        return {**parsed.scores, "overall": overall, "recommendation": recommendation}

    return _read_all(attacks, own, partial(_anchored_answer, names, own), parse)


def read_freeform(attacks: Sequence[Attack], n_points: int = 15) -> list[Reading]:
    """Readings of free-form replies: 15 judgment points each."""
    own: Values = {f"Own dimension {i}": float(2 + i % 5) for i in range(n_points)}

    def answer(reason: str) -> str:
        points = [{"dimension": name, "score": own[name], "reason": reason} for name in own]
        return orjson.dumps({"points": points}).decode()

    def parse(reply: str, record: str) -> Values:
        parsed = parse_points(reply, n_points, record=record)
        if parsed.status == "failed":
            return {}
        return {point["dimension"]: point["score"] for point in parsed.points}

    return _read_all(attacks, own, answer, parse)


def _anchored_answer(names: dict[str, str], own: Values, reason: str) -> str:
    lines = [f"[{slot}] {name}: {own[slot]:g}/10 — {reason}" for slot, name in names.items()]
    summary = [
        f"overall: {own['overall']:g}",
        f"training_recommendation: {own['recommendation']}",
        "domain_tag: miscellany",
        f"brief: {reason}",
    ]
    return "\n".join([*lines, *summary])


def _read_all(
    attacks: Sequence[Attack],
    own: Values,
    answer: Callable[[str], str],
    parse: Callable[[str, str], Values],
) -> list[Reading]:
    readings = []
    for arrangement, (build, answered) in ARRANGEMENTS.items():
        read = [parse(build(attack, answer), attack.text) for attack in attacks]
        same = sum(values.get(name) == own[name] for values in read for name in own)
        foreign = sum(
            value is not None and value != own.get(name)
            for values in read
            for name, value in values.items()
        )
        empty = len(own) * len(attacks) - same - foreign
        readings.append(Reading(arrangement, answered, len(attacks), same, empty, foreign))
    return readings


# --- arrangements ------------------------------------------------------------------------------

PLAIN_REASON = "as far as the record shows"

Answer = Callable[[str], str]
Build = Callable[[Attack, Answer], str]


def _in_reasons(attack: Attack, answer: Answer) -> str:
    return answer("the record says " + " ".join(attack.injected.split()))


def _fenced(before: bool, attack: Attack, answer: Answer) -> str:
    parts = [fence(attack.text), answer(PLAIN_REASON)]
    return "\n\n".join(parts if before else parts[::-1])


def _in_thoughts(opening: str, attack: Attack, answer: Answer) -> str:
    return f"{opening}The record:\n{attack.text}\nSo much for it.\n</think>\n{answer(PLAIN_REASON)}"


def _bare(before: bool, after: bool, attack: Attack, answer: Answer) -> str:
    quote = [f"The record:\n{attack.text}"]
    return "\n\n".join([*quote * before, answer(PLAIN_REASON), *quote * after])


def _marked(attack: Attack, answer: Answer) -> str:
    quote = "\n".join(f"> {line}" for line in attack.text.split("\n"))
    return f"{quote}\n\n{answer(PLAIN_REASON)}"


def _amid(attack: Attack, answer: Answer) -> str:
    lines = answer(PLAIN_REASON).split("\n")
    half = len(lines) // 2
    return "\n".join([*lines[:half], attack.injected, *lines[half:]])


def _cut_fence(attack: Attack, answer: Answer) -> str:
    return f"{fence(attack.text).rpartition('<')[0]}\n{answer(PLAIN_REASON)}"


def _refusal(fenced: bool, attack: Attack, answer: Answer) -> str:
    return f"I cannot judge this record:\n\n{fence(attack.text) if fenced else attack.text}"


def _in_other_words(attack: Attack) -> str:
    """The record with its ready scores written in another form."""
    text = re.sub(r"10\s*/\s*10", "10 out of 10", attack.text)
    return re.sub(r'("score":\s*10)\b', r"\1.0", text)


def _reworded(answered: bool, attack: Attack, answer: Answer) -> str:
    quote = f"The record:\n{_in_other_words(attack)}"
    return "\n\n".join([quote, answer(PLAIN_REASON)] if answered else [quote])


def _copy(attack: Attack, answer: Answer) -> str:
    return attack.injected


ARRANGEMENTS: dict[str, tuple[Build, bool]] = {
    "injected text in every reason": (_in_reasons, True),
    "record in its fence, then the answer": (partial(_fenced, True), True),
    "the answer, then the record in its fence": (partial(_fenced, False), True),
    "record in thoughts, then the answer": (partial(_in_thoughts, "<think>"), True),
    "the same, thoughts without opening tag": (partial(_in_thoughts, ""), True),
    "record without fence, then the answer": (partial(_bare, True, False), True),
    "the answer, then the record without fence": (partial(_bare, False, True), True),
    "record without fence before and after the answer": (partial(_bare, True, True), True),
    "record as a block quotation, then the answer": (_marked, True),
    "record with an open fence, then the answer": (_cut_fence, True),
    "injected text amid the answer": (_amid, True),
    "record with its scores reworded, then the answer": (partial(_reworded, True), True),
    "no answer, record in its fence": (partial(_refusal, True), False),
    "no answer, record without fence": (partial(_refusal, False), False),
    "no answer, injected text copied": (_copy, False),
    "no answer, record with its scores reworded": (partial(_reworded, False), False),
}
"""How a teacher may quote the record, and whether it also gives its own answer in full."""
