"""What a harvester is, and how its drafts become numbered records."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from mira.records import Family, Record, render


@dataclass(frozen=True)
class HarvestSettings:
    """How much to harvest from one source, and under which seed. Lengths are characters."""

    max_records: int
    max_chars: int = 24000
    min_chars: int = 120
    seed: int = 0


@dataclass(frozen=True)
class Draft:
    """A record before it has a number: a document or a list of messages, and where it is from."""

    body: str | list[dict[str, Any]]
    meta: dict[str, Any] = field(default_factory=dict)


Drafter = Callable[[HarvestSettings], Iterable[Draft]]


@dataclass(frozen=True)
class Harvester:
    """One source of the demo corpus."""

    name: str
    family: Family
    harvest: Callable[[HarvestSettings], Iterator[Record]]
    description: str


def make_harvester(name: str, family: Family, description: str, drafter: Drafter) -> Harvester:
    """A harvester that numbers what ``drafter`` writes; see :func:`number`."""

    def harvest(settings: HarvestSettings) -> Iterator[Record]:
        return number(name, family, drafter(settings), settings)

    return Harvester(name, family, harvest, description)


def number(
    source: str, family: Family, drafts: Iterable[Draft], settings: HarvestSettings
) -> Iterator[Record]:
    """Give drafts their ids, leaving out repeats and those too short or too long (ours)."""
    seen: set[bytes] = set()
    for draft in drafts:
        if len(seen) >= settings.max_records:
            return
        body = draft.body
        record: Record = {"id": f"{source}-{len(seen):05d}", "source": source, "family": family}
        if isinstance(body, str):
            record["text"] = body
        else:
            record["messages"] = body
        record["meta"] = draft.meta
        text = render(record)
        digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
        if digest in seen or not settings.min_chars <= len(text) <= settings.max_chars:
            continue
        seen.add(digest)
        yield record


def attempts(settings: HarvestSettings) -> range:
    """Numbers for generated drafts: more than records, since some drafts are left out."""
    return range(3 * settings.max_records + 20)


def conversation(question: str, answer: str, system: str | None = None) -> list[dict[str, Any]]:
    """A question and its answer as messages."""
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": question})
    messages.append({"role": "assistant", "content": answer})
    return messages
