"""Contender: mira's client, every reply durable in the journal before it is used."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from contender import Asked, Job, run_contender
from measure import timed
from questions import MAX_TOKENS, MODEL

from mira.config import Cap, Prices
from mira.teacher.client import CallFailure, Reply, Request, ask_all
from mira.teacher.journal import Journal
from mira.teacher.progress import Progress
from mira.teacher.settings import TeacherSettings

GENEROUS = Cap(money=1e9, tokens=10**15)


def ask(job: Job, numbers: Sequence[int], folder: Path) -> Asked:
    """One ``ask_all``; with a cap, every call is also set aside on disk before it is sent."""
    cap = GENEROUS if job.capped else Cap()
    settings = TeacherSettings(
        base_urls=(f"{job.url}/v1",),
        model=MODEL,
        max_tokens=MAX_TOKENS,
        concurrency=job.concurrency,
        prices=Prices(input=1.0, cached_input=0.1, output=4.0),
        cap=cap,
        payer="bench",
    )
    texts: dict[int, str] = {}

    def keep(request: Request, reply: Reply | CallFailure) -> None:
        assert isinstance(reply, Reply), reply
        texts[request.ticket] = reply.text

    journal = Journal(folder, payer="bench", cap=cap)
    progress = Progress("bench", len(numbers))
    requests = (Request(number, job.questions.messages(number)) for number in numbers)
    with timed() as watch:
        asyncio.run(ask_all(requests, settings, journal, progress, keep))
    journal.close()
    return Asked(list(texts.values()), watch, {})


if __name__ == "__main__":
    run_contender(ask, ["aiohttp"])
