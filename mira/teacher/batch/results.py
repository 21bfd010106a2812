"""What a line of a batch's output or error file says about one request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from mira.teacher.endpoint import (
    DETAIL_CHARS,
    RETRIED_STATUS,
    CallError,
    Completion,
    read_completion,
    read_error,
)


@dataclass(frozen=True)
class Failure:
    """A request without a reply; ``retry``: another try may bring one; ``billed``: perhaps paid."""

    reason: str
    detail: str
    retry: bool
    billed: bool


@dataclass(frozen=True)
class Result:
    """A request's end: ``key`` is its custom id."""

    key: str
    outcome: Completion | Failure


def read_result(line: bytes) -> Result | None:
    """The result on a line of an output or error file; None when the line is malformed."""
    try:
        row = orjson.loads(line)
        key = row["custom_id"]
        response, error = row.get("response"), row.get("error")
        if not isinstance(key, str):
            return None
        if response is None:
            return Result(key, _not_executed(error or {}))
        return Result(key, _executed(int(response["status_code"]), response["body"]))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _executed(status: int, body: Any) -> Completion | Failure:
    content = orjson.dumps(body)
    if status == 200:
        try:
            return read_completion(content)
        except CallError as error:
            return Failure(error.reason, error.detail, retry=error.retry, billed=True)
    detail = f"{status}: {read_error(content)[0]}"[:DETAIL_CHARS]
    if status == 429:
        return Failure("rate_limited", detail, retry=True, billed=False)
    # Providers are known to write status 0 for requests that they could not run.
    if status <= 0 or status >= 500 or status in RETRIED_STATUS:
        return Failure("server_error", detail, retry=True, billed=False)
    return Failure("refused_by_endpoint", detail, retry=False, billed=False)


def _not_executed(error: dict[str, Any]) -> Failure:
    """An error beside the response: the window ended, the batch was cancelled, a timeout."""
    code = str(error.get("code") or "")
    detail = f"{code}: {error.get('message') or 'no message'}"[:DETAIL_CHARS]
    if code == "request_timeout":
        return Failure("timeout", detail, retry=True, billed=True)
    reason = code if code in ("batch_expired", "batch_cancelled") else "server_error"
    return Failure(reason, detail, retry=True, billed=False)
