"""What the engine vllm says of some prompts; run by the interpreter of vLLM's environment.

    python tests/vllm_offline.py questions.json answers.json

The questions are a list of jobs, each with a model and prompts; every job opens its own engine.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from mira.config import Scoring
from mira.config.students import Vllm
from mira.scoring.engine import Decoding, Prompt
from mira.scoring.engines.vllm import VllmEngine
from mira.scoring.skeletons import build_skeleton


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """Scores, greedy and sampled replies of one model."""
    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    skeleton = build_skeleton([{"slot": slot} for slot in job["slots"]], tokenizer)
    prompts = [Prompt(tuple(ids), ()) for ids in job["prompts"]]
    vllm = Vllm(max_model_len=job["max_model_len"])
    engine = VllmEngine(job["model"], Scoring(engine="vllm", dtype="float32", vllm=vllm))
    found: dict[str, Any] = {
        "version": engine.version,
        "block_tokens": engine.block_tokens,
        "expected": engine.expected(prompts, skeleton).tolist(),
    }
    found["counters"] = vars(engine.counters())
    if "max_new_tokens" in job:
        seeds = tuple(range(len(prompts)))
        found["greedy"] = engine.write(prompts, Decoding(job["max_new_tokens"]))
        sampling = Decoding(job["max_new_tokens"], 0.7, 0.95, seeds)
        found["sample"] = engine.write(prompts, sampling)
        backwards = Decoding(job["max_new_tokens"], 0.7, 0.95, seeds[::-1])
        found["sample_again"] = engine.write(prompts[::-1], backwards)[::-1]
    engine.close()
    return found


if __name__ == "__main__":
    questions, answers = map(Path, sys.argv[1:])
    jobs = json.loads(questions.read_text())
    answers.write_text(json.dumps([answer(job) for job in jobs]))
