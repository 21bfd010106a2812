"""Rows to the normalised corpus: each is kept, or rejected with file, line and reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson
import pandas as pd

from mira.config import Source
from mira.errors import UserError
from mira.records import Record, render
from mira.sampling.fields import EXPECTED, Reason, RowError, lookup, to_record
from mira.sampling.readers import Row
from mira.sampling.tokenizer import TokenCounter

KEPT_DTYPES = {
    "id": "str",
    "source": "str",
    "family": "str",
    "text": "str",
    "messages": "str",
    "n_chars": "int64",
    "n_tokens": "int64",
    "meta": "str",
}
REJECTED_DTYPES = {
    "source": "str",
    "file": "str",
    "line": "int64",
    "id": "str",
    "reason": "str",
    "detail": "str",
}
TOKEN_BATCH = 256


@dataclass(frozen=True)
class Limits:
    """Lengths in characters of the rendered text, and what to do with longer records."""

    min_chars: int
    max_chars: int
    on_too_long: Literal["reject", "cut"]


def normalise_source(
    rows: Iterable[Row],
    name: str,
    source: Source,
    limits: Limits,
    count_tokens: TokenCounter,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split one source's rows into kept records and rejected rows; none is lost (ours).

    Returns frames with the columns of ``KEPT_DTYPES`` and ``REJECTED_DTYPES``. Of rows with the
    same id the first is kept. ``messages`` is null where the record has text; ``messages`` and
    ``meta`` are JSON text.
    """
    kept: list[dict[str, Any]] = []
    rejected: list[dict[str, Any]] = []
    seen: set[str] = set()
    for row, outcome in _outcomes(rows, name, source, limits, seen):
        if isinstance(outcome, RowError):
            rejected.append(_rejected_row(row, name, source, outcome))
        else:
            kept.append(outcome)
    for start in range(0, len(kept), TOKEN_BATCH):
        block = kept[start : start + TOKEN_BATCH]
        counts = count_tokens([record["text"] for record in block])
        for record, n_tokens in zip(block, counts, strict=True):
            record["n_tokens"] = n_tokens
    return _frame(kept, KEPT_DTYPES), _frame(rejected, REJECTED_DTYPES)


def _outcomes(
    rows: Iterable[Row], name: str, source: Source, limits: Limits, seen: set[str]
) -> Iterator[tuple[Row, dict[str, Any] | RowError]]:
    for row in rows:
        try:
            if row.failure is not None:
                raise row.failure
            record, text = fit(to_record(row.value, name, source.family, source.fields), limits)
            kept = _kept_row(record, text)
            if record["id"] in seen:
                raise RowError(Reason.DUPLICATE_ID, f"id '{record['id']}' was read before")
            seen.add(record["id"])
            yield row, kept
        except RowError as error:
            yield row, error


def fit(record: Record, limits: Limits) -> tuple[Record, str]:
    """The record and its rendered text within the limits, cut where the settings say so (ours).

    Text is cut at a line end, or at a space where the last line end is far; messages are cut
    between messages, back to a turn of the assistant or a tool. ``meta.truncated`` marks the
    cut. Raises RowError where the record stays outside the limits.
    """
    text = render(record)
    if len(text) > limits.max_chars:
        if limits.on_too_long == "reject":
            raise RowError(Reason.TOO_LONG, f"{len(text):,} characters")
        record = _cut(record, limits.max_chars)
        text = render(record)
    if len(text) < limits.min_chars:
        raise RowError(Reason.TOO_SHORT, f"{len(text):,} characters")
    return record, text


def _cut(record: Record, max_chars: int) -> Record:
    cut: Record = {**record, "meta": {**record.get("meta", {}), "truncated": True}}
    if "messages" in record:
        cut["messages"] = _cut_messages(record["messages"], max_chars)
    else:
        cut["text"] = _cut_text(record["text"], max_chars)
    return cut


def _cut_text(text: str, max_chars: int) -> str:
    for boundary in ("\n", " "):
        end = text.rfind(boundary, 0, max_chars)
        if end > max_chars // 2:
            return text[:end]
    return text[:max_chars]


def _cut_messages(messages: list[dict[str, Any]], max_chars: int) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = []
    length = -1
    for message in messages:
        length += 1 + len(render({"messages": [message]}))
        if length > max_chars:
            break
        kept.append(message)
    while kept and kept[-1]["role"] not in ("assistant", "tool"):
        kept.pop()
    if not any(message["role"] == "assistant" for message in kept):
        raise RowError(
            Reason.TOO_LONG,
            f"no cut between messages leaves a reply within {max_chars:,} characters",
        )
    return kept


def _kept_row(record: Record, text: str) -> dict[str, Any]:
    messages = record.get("messages")
    return {
        "id": record["id"],
        "source": record["source"],
        "family": record["family"],
        "text": text,
        "messages": None if messages is None else orjson.dumps(messages).decode(),
        "n_chars": len(text),
        "meta": _dump_meta(record.get("meta", {})),
    }


def _dump_meta(meta: Mapping[str, Any]) -> str:
    try:
        return orjson.dumps(meta, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError as error:
        raise RowError(Reason.WRONG_TYPE, f"meta cannot be written as JSON: {error}") from error


def _rejected_row(row: Row, name: str, source: Source, error: RowError) -> dict[str, Any]:
    value = lookup(row.value, source.fields.id or "") if isinstance(row.value, Mapping) else None
    return {
        "source": name,
        "file": row.file,
        "line": row.line,
        "id": str(value) if isinstance(value, str | int) else None,
        "reason": str(error.reason),
        "detail": error.detail,
    }


def _frame(rows: list[dict[str, Any]], dtypes: Mapping[str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(dtypes)).astype(dict(dtypes))


def check_rejected_share(source: str, n_kept: int, rejected: pd.DataFrame, limit: float) -> None:
    """Stop a source with no record, or with more than ``limit`` of its rows rejected.

    Raises UserError naming the first rejected row by file and line, what was expected there, and
    how often each reason occurred.
    """
    n_rows = n_kept + len(rejected)
    if n_rows == 0:
        raise UserError(
            f"Source '{source}' has no rows (sources.{source}.path). "
            f"Give it a file with records or remove the source."
        )
    if n_kept and len(rejected) <= limit * n_rows:
        return
    first = rejected.iloc[0]
    counts = ", ".join(f"{reason} {n}" for reason, n in rejected["reason"].value_counts().items())
    raise UserError(
        f"Source '{source}': {len(rejected):,} of {n_rows:,} rows rejected "
        f"({len(rejected) / n_rows:.1%}; sampling.max_rejected_share is {limit:.1%}): {counts}\n"
        f"First: {first['file']}:{first['line']}: {first['reason']}: {first['detail']}\n"
        f"Expected: {EXPECTED[Reason(first['reason'])]}.\n"
        f"Correct the rows, the field map or the limits, or raise sampling.max_rejected_share."
    )


def check_unique_ids(frames: Iterable[pd.DataFrame]) -> None:
    """Raise UserError where two sources share a record id, naming both.

    ``frames`` have columns id and source, each without duplicates inside a source.
    """
    owners: dict[str, str] = {}
    for frame in frames:
        for record_id, source in zip(frame["id"], frame["source"], strict=True):
            owner = owners.setdefault(record_id, source)
            if owner != source:
                raise UserError(
                    f"Sources '{owner}' and '{source}' both have a record with id '{record_id}'. "
                    f"Expected ids that are unique over all sources. Prefix the ids, or set "
                    f"sources.{source}.fields.id to null to make ids from the content."
                )
