"""What every contender of ``client.py`` does: warm up, then ask all questions and show the replies.

A contender is a script with a function ``ask(job, numbers, folder)`` that asks the questions of
these numbers, keeps what it wants to keep in ``folder``, and returns an ``Asked``. Its clock runs
from before the first request to when every reply is in hand; imports and the start of the process
are outside, and so is a first small run on other questions, which is there for what packages load
late.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from local_endpoint import REPLY
from measure import Watch, read_job, versions
from questions import Questions


@dataclass(frozen=True)
class Job:
    """Where to ask, how many at once, and the questions to draw from."""

    url: str
    concurrency: int
    capped: bool
    questions: Questions


@dataclass(frozen=True)
class Asked:
    """The replies' texts and the time they took; ``extra`` is anything else worth reporting."""

    texts: list[str]
    watch: Watch
    extra: dict[str, float]


Ask = Callable[[Job, Sequence[int], Path], Asked]


def run_contender(ask: Ask, packages: Sequence[str]) -> None:
    """Run the job on the command line and print what came of it as one JSON object."""
    given = read_job()
    job = Job(given["url"], given["concurrency"], given["capped"], Questions())
    folder, records = Path(given["folder"]), given["records"]
    ask(job, range(records, records + job.concurrency), folder / "warm-up")
    asked = ask(job, range(records), folder / "timed")
    right = sum(text == REPLY for text in asked.texts)
    if right != records:
        raise SystemExit(f"{right} right replies, not {records}")
    result = {
        "seconds": asked.watch.seconds,
        "cpu_seconds": asked.watch.cpu_seconds,
        "versions": versions(packages),
        **asked.extra,
    }
    print(json.dumps(result))
