"""Prompt templates are text files with a version in their name."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from string import Template
from typing import Literal, TypedDict

import orjson

Kind = Literal["freeform", "anchored", "ask_again"]
VERSIONS: dict[Kind, int] = {"freeform": 1, "anchored": 1, "ask_again": 1}

_FOLDER = Path(__file__).parent / "templates"


class Message(TypedDict):
    """One chat message."""

    role: Literal["system", "user", "assistant"]
    content: str


def template_version(kind: Kind) -> str:
    """Name of the wording in use, such as ``anchored.v1``: it changes with the template files."""
    return f"{kind}.v{VERSIONS[kind]}"


def fill(kind: Kind, part: Literal["system", "user", ""], **values: object) -> str:
    """The current template file of a kind and part, its ``$name`` places filled.

    Values are inserted as they are: a ``$`` inside a record means nothing.
    """
    stem = f"{kind}_{part}" if part else kind
    return _template(f"{stem}.v{VERSIONS[kind]}.txt").substitute(values)


@cache
def _template(name: str) -> Template:
    return Template((_FOLDER / name).read_text(encoding="utf-8").removesuffix("\n"))


def prompt_hash(messages: list[Message]) -> str:
    """16 hex digits that name a rendered prompt, on every machine and Python version (ours)."""
    canonical = orjson.dumps(messages, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(canonical, digest_size=8).hexdigest()
