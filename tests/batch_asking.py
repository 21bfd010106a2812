"""Asking through the batch API of a local server, with settings fit for tests."""

from __future__ import annotations

import asyncio
from collections import Counter

import orjson
import pytest
from batch_server import serving

from mira.config import Batch, Prices
from mira.teacher.batch import ask_in_batches
from mira.teacher.client import Request
from mira.teacher.journal import Journal
from mira.teacher.pricing import Charge, worst_charge
from mira.teacher.progress import Progress
from mira.teacher.settings import TeacherSettings

PRICES = Prices(input=1.0, cached_input=0.1, output=2.0)
LINE_FAULTS = ("429", "500", "missing", "malformed", "duplicate", "unknown", "odd", "expired")
QUESTIONS = [f"question {i}" for i in range(60)]
ANSWERS = {i: f"re: question {i}" for i in range(60)}


def settings_for(url, *, mode="batch", max_requests=25, price_share=1.0, **changes):
    """Settings that look at batches often, and give up nothing early."""
    batch = Batch(
        poll_s=0.02, max_requests=max_requests, price_share=price_share, max_bytes=1_000_000
    )
    options = {"model": "m", "prices": PRICES, "backoff_s": 0.01, "timeout_s": 20, "payer": "run"}
    options |= {"max_failed_share": 1.0, "mode": mode, "batch": batch, **changes}
    return TeacherSettings(base_urls=(url,), **options)


def echo(content):
    """What the server replies."""
    return f"re: {content}"


def message(content):
    """A question of one message."""
    return [{"role": "user", "content": content}]


async def ask_at(url, folder, contents, *, cap=None, payer="run", ask=None, handle=None, **changes):
    """Replies by ticket, counts, and the journal, closed."""
    results = {}

    def keep(request, reply):
        assert request.messages == message(contents[request.ticket])
        results[request.ticket] = reply

    ask = ask or ask_in_batches
    journal = Journal(folder, payer=payer, cap=cap)
    requests = (Request(number, message(content)) for number, content in enumerate(contents))
    progress = Progress("test", len(contents))
    try:
        settings = settings_for(url, **changes)
        counts = await ask(requests, settings, journal, progress, handle or keep)
    finally:
        journal.close()
    return results, counts, journal


def ask_of(server, folder, contents, **changes):
    """As ``ask_at``, of a server that is started for it."""

    async def main():
        async with serving(server) as url:
            return await ask_at(url, folder, contents, **changes)

    return asyncio.run(main())


def texts(results):
    """Texts of replies, failures as they are."""
    return {ticket: getattr(reply, "text", reply) for ticket, reply in results.items()}


def files(folder):
    """How many files of each kind are in the folder of claims."""
    return Counter(path.suffix for path in (folder / "batches").iterdir() if path.suffix)


def most_of(content, share=1.0, max_tokens=4096):
    """The most that a question may cost."""
    body = {"model": "m", "messages": message(content)}
    body |= {"temperature": 0.0, "top_p": 1.0, "max_tokens": max_tokens}
    most = worst_charge(len(orjson.dumps(body)), max_tokens, PRICES)
    return Charge(most.money * share, most.tokens)


def ask_same_place(server, folder, contents, **changes):
    """As ``ask_of``, at the address at which the folder's batches were submitted."""
    urls = {orjson.loads(p.read_bytes())["base_url"] for p in (folder / "batches").glob("*.json")}
    [url] = urls

    async def main():
        async with serving(server, port=int(url.split(":")[2].split("/")[0])):
            return await ask_at(url, folder, contents, **changes)

    return asyncio.run(main())


async def ask_until(condition, url, folder, contents, **changes):
    """Ask until the condition holds, then interrupt."""
    asking = asyncio.create_task(ask_at(url, folder, contents, **changes))
    while not condition():
        assert not asking.done(), asking.result()
        await asyncio.sleep(0.01)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
