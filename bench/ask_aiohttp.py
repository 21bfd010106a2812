"""Contender: plain aiohttp, nothing stored: what the transport alone allows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import aiohttp
import orjson
from contender import Asked, Job, run_contender
from measure import timed
from questions import MAX_TOKENS, MODEL

HEADERS = {"content-type": "application/json"}


def ask(job: Job, numbers: Sequence[int], folder: Path) -> Asked:
    """As many workers as requests at once draw from one iterator."""
    with timed() as watch:
        texts = asyncio.run(_ask_all(job, numbers))
    return Asked(texts, watch, {})


async def _ask_all(job: Job, numbers: Sequence[int]) -> list[str]:
    texts: list[str] = []
    left = iter(numbers)
    connector = aiohttp.TCPConnector(limit=job.concurrency)
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(*(_work(job, session, left, texts) for _ in range(job.concurrency)))
    return texts


async def _work(
    job: Job, session: aiohttp.ClientSession, left: Iterator[int], texts: list[str]
) -> None:
    url = f"{job.url}/v1/chat/completions"
    for number in left:
        body = orjson.dumps(
            {"model": MODEL, "messages": job.questions.messages(number), "max_tokens": MAX_TOKENS}
        )
        async with session.post(url, data=body, headers=HEADERS) as response:
            reply = orjson.loads(await response.read())
        texts.append(reply["choices"][0]["message"]["content"])


if __name__ == "__main__":
    run_contender(ask, ["aiohttp", "orjson"])
