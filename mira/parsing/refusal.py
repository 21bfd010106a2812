"""Telling a refusal from a reply that is merely unreadable."""

from __future__ import annotations

import re

_LONGEST_REFUSAL = 600
_PHRASES = re.compile(
    r"\bI(?:['’]m| am) (?:very |so |really )?(?:sorry|unable|not able)\b"
    r"|\bI (?:can(?:no|['’])t|won['’]t|will not|must decline|have to decline|decline|refuse)\b"
    r"|\bas an AI\b"
    r"|\b(?:unable|not able) to (?:assist|help|comply|judge|rate|score|evaluate)\b"
    r"|\bagainst my (?:guidelines|policy|policies)\b"
    r"|抱歉|对不起|很遗憾|我(?:无法|不能|拒绝)|无法(?:提供|协助|完成|评分|评估|回答)",
    re.IGNORECASE,
)
_ATTEMPT = re.compile(r"^\W*A\d{1,3}\b|\{", re.IGNORECASE | re.MULTILINE)


def is_refusal(answer: str) -> bool:
    """Whether an answer is a short refusal, in English or Chinese, and no attempt (ours).

    Conservative: an answer with a slot line or the beginning of an object is an attempt, and
    without one of a few usual phrases it is no refusal.
    """
    short = len(answer) <= _LONGEST_REFUSAL
    return short and not _ATTEMPT.search(answer) and _PHRASES.search(answer) is not None
