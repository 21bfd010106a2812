"""Records and the one way a record becomes text.

A record is a dict ``{id, source, family, text | messages, meta}``. The rendered text is what is
embedded, judged, scored and trained on.
"""

from __future__ import annotations

import re
from typing import Any, Literal, TypedDict

Family = Literal["agent", "qa", "text"]
FAMILIES: tuple[Family, ...] = ("agent", "qa", "text")
ROLES = ("system", "user", "assistant", "tool")

_MARKER = re.compile(r"^<\|", re.MULTILINE)


class Record(TypedDict, total=False):
    """One record: ``text`` for plain documents, ``messages`` for conversations and traces."""

    id: str
    source: str
    family: Family
    text: str
    messages: list[dict[str, Any]]
    meta: dict[str, Any]


def render(record: Record) -> str:
    """The record's text: documents as they are, messages turn by turn (ours).

    Each turn opens with a marker line (``<|user|>``, ``<|tool_call|> name``, ...). Marker
    look-alikes inside the content are broken apart, so a record cannot forge a turn.
    """
    if "messages" not in record:
        return record["text"]
    return "\n".join(_render_message(message) for message in record["messages"])


def _render_message(message: dict[str, Any]) -> str:
    lines = [f"<|{message['role']}|>"]
    if message.get("content"):
        lines.append(_break_markers(message["content"]))
    for call in message.get("tool_calls") or ():
        function = call["function"]
        lines.append(f"<|tool_call|> {_one_line(function['name'])}")
        lines.append(_break_markers(function["arguments"]))
    return "\n".join(lines)


def _break_markers(content: str) -> str:
    return _MARKER.sub("< |", content)


def _one_line(name: str) -> str:
    return " ".join(name.split())
