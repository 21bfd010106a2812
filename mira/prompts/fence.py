"""Putting a record into a prompt as data: fenced, and cut to a length it may have."""

from __future__ import annotations

import hashlib
import re

_OPENING = re.compile(r"^<record ([0-9a-f]{16})>\n", re.MULTILINE)
_LONGEST_MARK = len("\n[...  characters omitted ...]\n")


def well_formed(text: str) -> str:
    """The text with lone surrogates, which no encoder accepts, replaced by ``?``."""
    return text.encode("utf-8", "replace").decode("utf-8")


def fence(text: str) -> str:
    """The text between ``<record nonce>`` and ``</record nonce>`` lines (ours).

    The nonce is the beginning of the text's own hash. A record cannot contain its own hash, so
    nothing inside can close the fence.
    """
    text = well_formed(text)
    nonce = hashlib.blake2b(text.encode()).hexdigest()[:16]
    return f"<record {nonce}>\n{text}\n</record {nonce}>"


def fenced_record(prompt: str) -> str:
    """The record that stands in a prompt's fence, empty where there is none."""
    opening = _OPENING.search(prompt)
    if opening is None:
        return ""
    end = prompt.find(f"\n</record {opening[1]}>", opening.end())
    return prompt[opening.end() : end] if end >= 0 else ""


def fit_text(text: str, max_chars: int, head_share: float = 0.6) -> str:
    """At most ``max_chars`` characters: head and tail around a line that counts what is missing.

    ``head_share`` of what is kept comes from the beginning (ours). Raises ValueError when
    ``max_chars`` leaves no room for text beside the omission line.
    """
    if len(text) <= max_chars:
        return text
    kept = max_chars - _LONGEST_MARK - len(str(len(text)))
    if kept < 2:
        raise ValueError(f"max_chars={max_chars} leaves no room for the record")
    head = round(kept * head_share)
    tail = kept - head
    omitted = len(text) - kept
    ending = text[len(text) - tail :]
    return f"{text[:head]}\n[... {omitted} characters omitted ...]\n{ending}"
