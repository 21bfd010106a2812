"""Contender: the openai package's default client in an asyncio loop, nothing stored."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

from contender import Asked, Job, run_contender
from measure import timed
from openai import AsyncOpenAI
from questions import MAX_TOKENS, MODEL


def ask(job: Job, numbers: Sequence[int], folder: Path) -> Asked:
    """As many workers as requests at once draw from one iterator."""
    client = AsyncOpenAI(base_url=f"{job.url}/v1", api_key="none")
    with timed() as watch:
        texts = asyncio.run(_ask_all(job, client, numbers))
    return Asked(texts, watch, {})


async def _ask_all(job: Job, client: AsyncOpenAI, numbers: Sequence[int]) -> list[str]:
    texts: list[str] = []
    left = iter(numbers)
    async with client:
        await asyncio.gather(*(_work(job, client, left, texts) for _ in range(job.concurrency)))
    return texts


async def _work(job: Job, client: AsyncOpenAI, left: Iterator[int], texts: list[str]) -> None:
    for number in left:
        completion = await client.chat.completions.create(
            model=MODEL, messages=job.questions.messages(number), max_tokens=MAX_TOKENS
        )
        texts.append(completion.choices[0].message.content)


if __name__ == "__main__":
    run_contender(ask, ["openai"])
