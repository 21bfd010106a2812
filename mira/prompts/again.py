"""Asking once more, saying what was wrong with the first answer."""

from __future__ import annotations

from collections.abc import Sequence

from mira.prompts.template import Message, fill


def ask_again(messages: list[Message], problems: Sequence[str]) -> list[Message]:
    """The same messages with the problems appended to the last one.

    ``problems`` are the parser's own words, never words of the reply, so that a record cannot
    reach the second prompt through the first answer (ours).
    """
    *before, last = messages
    content = fill("ask_again", "", request=last["content"], problems="; ".join(problems))
    return [*before, {"role": last["role"], "content": content}]
