"""One row of a user's data to one :class:`mira.records.Record`.

The field map (``sources.{name}.fields``) says which field holds what; dots reach into objects.
A row that cannot become a record raises :class:`RowError` with one of the closed list of reasons.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

import orjson

from mira.config import Fields
from mira.records import ROLES, Family, Record, render

MISSING: Any = object()


class Reason(StrEnum):
    """Why a row was left out."""

    MALFORMED_JSON = "malformed_json"
    NOT_AN_OBJECT = "not_an_object"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    DUPLICATE_ID = "duplicate_id"
    EMPTY_TEXT = "empty_text"
    TOO_LONG = "too_long"
    TOO_SHORT = "too_short"
    INVALID_UTF8 = "invalid_utf8"
    INVALID_MESSAGES = "invalid_messages"
    OVER_CAP = "over_cap"


EXPECTED: dict[Reason, str] = {
    Reason.MALFORMED_JSON: "one complete JSON document per line (no NaN, no trailing commas)",
    Reason.NOT_AN_OBJECT: "a JSON object {...} per line",
    Reason.MISSING_FIELD: "an id, and text or messages, in the fields named by the field map",
    Reason.WRONG_TYPE: "id: text or whole number; text: text; messages: list; meta: object",
    Reason.DUPLICATE_ID: "an id that no earlier row of the source has",
    Reason.EMPTY_TEXT: "a record with something in it other than white space",
    Reason.TOO_LONG: "at most sampling.max_chars characters",
    Reason.TOO_SHORT: "at least sampling.min_chars characters",
    Reason.INVALID_UTF8: "text encoded as UTF-8",
    Reason.INVALID_MESSAGES: "OpenAI chat messages: role system, user, assistant or tool; text "
    "content; tool_calls with function.name and function.arguments",
    Reason.OVER_CAP: "at most sampling.max_records_per_source records",
}


class RowError(Exception):
    """A row that cannot become a record: ``reason`` from the closed list, ``detail`` for people."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def lookup(row: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path, or ``MISSING``; a field whose own name has dots comes first."""
    if path in row:
        return row[path]
    value: Any = row
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return MISSING
        value = value[part]
    return value


def to_record(row: Any, source: str, family: Family, fields: Fields) -> Record:
    """Turn one row into a record by the field map (ours).

    ``messages`` are used where the row has them, else ``text``. With ``fields.id`` null the id
    is made from a hash of the content. Raises :class:`RowError`.
    """
    if not isinstance(row, Mapping):
        raise RowError(Reason.NOT_AN_OBJECT, f"found {_kind(row)}")
    record: Record = {"id": "", "source": source, "family": family}
    messages, text = _value(row, fields.messages), _value(row, fields.text)
    if messages is not None:
        record["messages"] = clean_messages(messages)
    elif text is not None:
        record["text"] = _typed(text, str, fields.text)
    else:
        paths = " nor ".join(f"'{path}'" for path in (fields.messages, fields.text) if path)
        raise RowError(Reason.MISSING_FIELD, f"no value in {paths}; {_present(row)}")
    record["meta"] = dict(_typed(_value(row, fields.meta) or {}, Mapping, fields.meta))
    if _is_empty(record):
        raise RowError(Reason.EMPTY_TEXT, "nothing but white space")
    record["id"] = _content_id(record) if fields.id is None else _row_id(row, fields.id)
    return record


def _value(row: Mapping[str, Any], path: str | None) -> Any:
    value = MISSING if path is None else lookup(row, path)
    return None if value is MISSING else value


def _typed(value: Any, expected: type, path: str | None) -> Any:
    if not isinstance(value, expected):
        raise RowError(Reason.WRONG_TYPE, f"field '{path}' is {_kind(value)}")
    return value


def _row_id(row: Mapping[str, Any], path: str) -> str:
    value = _value(row, path)
    if value is None or value == "":
        raise RowError(Reason.MISSING_FIELD, f"no value in '{path}'; {_present(row)}")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise RowError(Reason.WRONG_TYPE, f"field '{path}' is {_kind(value)}")
    return str(value)


def _content_id(record: Record) -> str:
    digest = hashlib.blake2b(render(record).encode(), digest_size=8).hexdigest()
    return f"{record['source']}-{digest}"


def _is_empty(record: Record) -> bool:
    if "messages" not in record:
        return not record["text"].strip()
    return not any(
        message["content"].strip() or message.get("tool_calls") for message in record["messages"]
    )


def clean_messages(value: Any) -> list[dict[str, Any]]:
    """Check OpenAI chat messages and bring them to one form (ours).

    Accepts a list or its JSON text. Content parts of type text are joined by line breaks,
    arguments given as an object become JSON text, missing call ids are numbered, and a tool
    reply without an id answers the first call still open. Keys other than role, content, name,
    tool_calls and tool_call_id are dropped. Raises :class:`RowError`.
    """
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise _bad_messages(f"text that is not JSON: {error}") from error
    if not isinstance(value, list) or not value:
        raise _bad_messages(f"expected a list with at least one message, found {_kind(value)}")
    cleaned: list[dict[str, Any]] = []
    open_calls: list[str] = []
    for position, message in enumerate(value):
        where = f"message {position}"
        cleaned.append(_clean_message(message, where, n_calls=_count_calls(cleaned)))
        open_calls += [call["id"] for call in cleaned[-1].get("tool_calls", ())]
        if cleaned[-1]["role"] == "tool":
            _close_call(cleaned[-1], open_calls)
    return cleaned


def _clean_message(message: Any, where: str, n_calls: int) -> dict[str, Any]:
    if not isinstance(message, Mapping):
        raise _bad_messages(f"{where} is {_kind(message)}, not an object")
    role = message.get("role")
    if role not in ROLES:
        raise _bad_messages(f"{where} has role {role!r}; known roles: {', '.join(ROLES)}")
    cleaned = {"role": role, "content": _clean_content(message.get("content"), role, where)}
    for key in ("name", "tool_call_id"):
        if message.get(key) is not None:
            cleaned[key] = str(message[key])
    if calls := message.get("tool_calls"):
        if role != "assistant" or not isinstance(calls, list):
            raise _bad_messages(f"{where}: tool_calls must be a list in an assistant message")
        cleaned["tool_calls"] = [
            _clean_call(call, f"{where}, call {i}", n_calls + i) for i, call in enumerate(calls)
        ]
    return cleaned


def _clean_content(content: Any, role: str, where: str) -> str:
    if isinstance(content, str):
        return content
    if content is None and role in ("assistant", "tool"):
        return ""
    if not isinstance(content, list):
        raise _bad_messages(f"{where} ({role}) has content of type {_kind(content)}")
    for part in content:
        if not isinstance(part, Mapping) or not isinstance(part.get("text"), str):
            part_type = part.get("type") if isinstance(part, Mapping) else _kind(part)
            raise _bad_messages(f"{where} has a content part {part_type!r}; only text is supported")
    return "\n".join(part["text"] for part in content)


def _clean_call(call: Any, where: str, number: int) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise _bad_messages(f"{where} has no function with a name")
    arguments = function.get("arguments")
    if arguments is None:
        arguments = ""
    elif not isinstance(arguments, str):
        try:
            arguments = json.dumps(arguments, ensure_ascii=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise _bad_messages(f"{where}: arguments cannot be written as JSON") from error
    return {
        "id": str(call.get("id") or f"call_{number}"),
        "type": "function",
        "function": {"name": function["name"], "arguments": arguments},
    }


def _close_call(message: dict[str, Any], open_calls: list[str]) -> None:
    if "tool_call_id" not in message and open_calls:
        message["tool_call_id"] = open_calls[0]
    if message.get("tool_call_id") in open_calls:
        open_calls.remove(message["tool_call_id"])


def _count_calls(messages: Iterable[dict[str, Any]]) -> int:
    return sum(len(message.get("tool_calls", ())) for message in messages)


def _bad_messages(detail: str) -> RowError:
    return RowError(Reason.INVALID_MESSAGES, detail)


def _present(row: Mapping[str, Any]) -> str:
    return f"fields present: {', '.join(map(str, list(row)[:20])) or 'none'}"


def _kind(value: Any) -> str:
    names = {str: "text", bool: "true/false", int: "a whole number", float: "a number"}
    names |= {list: "a list", dict: "an object", type(None): "null"}
    return names.get(type(value), type(value).__name__)
