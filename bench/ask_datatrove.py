"""Contender: datatrove's endpoint runner with checkpoints and request cache.

Its clock is its own statistic ``inference_time``, which leaves out its start and its clean-up.
Requests still waiting for the request cache are written in the clean-up; ``run_seconds`` is the
whole call with both. To an address on this machine it opens a connection per request; to others it
would use the openai client.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contender import Asked, Job, run_contender
from datatrove.data import Document
from datatrove.pipeline.inference.run_inference import InferenceConfig, InferenceRunner
from datatrove.pipeline.writers import JsonlWriter
from measure import Watch, timed
from questions import MAX_TOKENS, MODEL

RECORDS_PER_CHUNK = 500


async def _ask_one(document: Document, generate: Any, rubric: dict[str, str]) -> Any:
    messages = [rubric, {"role": "user", "content": document.text}]
    return await generate({"messages": messages, "max_tokens": MAX_TOKENS})


def ask(job: Job, numbers: Sequence[int], folder: Path) -> Asked:
    """One run over the documents; the replies are read back from its output."""
    runner = InferenceRunner(
        _ask_one,
        InferenceConfig(
            server_type="endpoint",
            endpoint_url=job.url,
            model_name_or_path=MODEL,
            max_concurrent_generations=job.concurrency,
        ),
        JsonlWriter(str(folder / "output"), "${rank}_chunk_${chunk_index}.jsonl", compression=None),
        shared_context={"rubric": job.questions.messages(0)[0]},
        checkpoints_local_dir=str(folder / "checkpoints"),
        records_per_chunk=RECORDS_PER_CHUNK,
    )
    documents = (
        Document(text=job.questions.messages(number)[1]["content"], id=str(number))
        for number in numbers
    )
    with timed() as whole:
        runner.run(documents, rank=0, world_size=1)
    inference = runner.stats.stats["inference_time"].total
    watch = Watch(inference, whole.cpu_seconds)
    return Asked(_read_texts(folder / "output"), watch, {"run_seconds": whole.seconds})


def _read_texts(output: Path) -> list[str]:
    return [
        json.loads(line)["metadata"]["rollout_results"][0]["text"]
        for path in sorted(output.glob("*.jsonl"))
        for line in path.read_text().splitlines()
    ]


if __name__ == "__main__":
    run_contender(ask, ["datatrove", "aiosqlite"])
