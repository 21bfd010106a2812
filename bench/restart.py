"""What the scripts of ``journal_restart.py`` agree on: settings, questions, replies, the result."""

from __future__ import annotations

import json
import random
import resource
from collections.abc import Sequence
from typing import Any

from measure import Watch
from questions import MAX_TOKENS, MODEL, Questions, make_text

from mira.teacher.journal import reply_key
from mira.teacher.settings import TeacherSettings

REPLY_CHARS = 1_200
NOBODY = "http://127.0.0.1:9/v1"

SETTINGS = TeacherSettings(
    base_urls=(NOBODY,), model=MODEL, max_tokens=MAX_TOKENS, payer="bench", max_retries=0
)

_TEXT_CHARS = 300_007
_TEXT = make_text(_TEXT_CHARS, seed=7)


def key_of(questions: Questions, number: int) -> str:
    """The journal's name for a question."""
    return reply_key(MODEL, questions.messages(number), SETTINGS.identity(), 0)


def reply_to(number: int) -> dict[str, Any]:
    """A reply of about 1.2 kB, as the journal stores it; its text begins with the number."""
    start = number * 6_007 % (_TEXT_CHARS - REPLY_CHARS)
    return {
        "model": MODEL,
        "sample": 0,
        "text": f"{number} {_TEXT[start : start + REPLY_CHARS]}",
        "finish_reason": "stop",
        "usage": {
            "prompt_tokens": 550,
            "cached_tokens": 0,
            "completion_tokens": 260,
            "thinking_tokens": 0,
        },
        "time": 1_760_000_000.0,
    }


def numbers_of(job: dict[str, Any]) -> Sequence[int]:
    """The questions in the order in which a job wants them asked."""
    numbers = range(job["records"])
    return random.Random(1).sample(numbers, len(numbers)) if job["shuffled"] else numbers


def print_result(opening: Watch, asking: Watch, right: int, job: dict[str, Any]) -> None:
    """Print the times, if every reply was right."""
    if right != job["records"]:
        raise SystemExit(f"{right} right replies, not {job['records']}")
    result = {
        "open_seconds": opening.seconds,
        "seconds": opening.seconds + asking.seconds,
        "cpu_seconds": opening.cpu_seconds + asking.cpu_seconds,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(result))
