"""One OpenAI-compatible endpoint: a single call, and what its failure means."""

from __future__ import annotations

import asyncio
import email.utils
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from mira.errors import UserError
from mira.prompts import well_formed
from mira.teacher.pricing import Usage
from mira.teacher.settings import TeacherSettings

_RETRIED_STATUS = {408, 409, 425, 429}
_DETAIL_CHARS = 300


@dataclass(frozen=True)
class Completion:
    """What the endpoint sent back: the text of the first choice."""

    text: str
    finish_reason: str | None
    usage: Usage


class CallError(Exception):
    """A call that brought no reply; ``retry`` says whether another try may."""

    def __init__(self, reason: str, detail: str, *, retry: bool, wait_s: float | None = None):
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.retry = retry
        self.wait_s = wait_s


class Endpoint:
    """A base URL with its own connections; ``in_flight`` counts the calls now waiting there.

    Raises UserError when the key's environment variable is not set.
    """

    def __init__(self, base_url: str, settings: TeacherSettings):
        from openai import AsyncOpenAI

        self.base_url = base_url
        self.in_flight = 0
        self._settings = settings
        self._key = settings.api_key()
        self._client = AsyncOpenAI(
            base_url=base_url,
            api_key=self._key or "none",
            max_retries=0,
            timeout=settings.timeout_s,
            http_client=_http_client(settings),
        )

    async def complete(self, body: bytes) -> Completion:
        """Send one request body to ``/chat/completions``.

        Raises CallError when there is no usable reply, UserError when no call can succeed (key
        refused, model unknown, no credit left).
        """
        self.in_flight += 1
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                content = await self._post(body)
        except TimeoutError:
            limit = f"no reply within {self._settings.timeout_s:g} s"
            raise CallError("timeout", limit, retry=True) from None
        finally:
            self.in_flight -= 1
        return read_completion(content)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def _post(self, body: bytes) -> bytes:
        """The response's bytes.

        The client's typed ``create`` validates every message and reply field by field; posting
        bytes through the same client keeps its transport, headers and errors at twice the rate.
        """
        import httpx2
        import openai

        try:
            response = await self._client.post(
                "/chat/completions", content=body, cast_to=httpx2.Response
            )
            return response.content
        except openai.APITimeoutError as error:
            raise CallError("timeout", self._say(error), retry=True) from None
        except openai.APIStatusError as error:
            raise self._explain(error.status_code, error.response.headers, error) from None
        except (openai.APIError, httpx2.HTTPError, OSError) as error:
            raise CallError("connection", self._say(error), retry=True) from None

    def _explain(
        self, status: int, headers: Mapping[str, str], error: Exception
    ) -> CallError | UserError:
        said = self._say(error)
        if status in (401, 403):
            variable = self._settings.api_key_env
            remedy = f"check the key in {variable}" if variable else "set teacher.api_key_env"
            return UserError(
                f"{self.base_url} refused the key ({status}): {remedy}. It said: {said}"
            )
        if status == 404:
            return UserError(
                f"{self.base_url} does not know the model '{self._settings.model}' or the path "
                f"/chat/completions (404): check teacher.model and teacher.base_urls (an URL "
                f"usually ends in /v1). It said: {said}"
            )
        if getattr(error, "code", None) == "insufficient_quota":
            return UserError(f"{self.base_url} has no credit left for this key. It said: {said}")
        if status == 429:
            return CallError("rate_limited", said, retry=True, wait_s=retry_after(headers))
        if status >= 500 or status in _RETRIED_STATUS:
            return CallError("server_error", said, retry=True, wait_s=retry_after(headers))
        return CallError("refused_by_endpoint", said, retry=False)

    def _say(self, error: Exception) -> str:
        text = str(error) or type(error).__name__
        return (text.replace(self._key, "***") if self._key else text)[:_DETAIL_CHARS]


def read_completion(content: bytes) -> Completion:
    """The completion in a response body; raises CallError when it is not one."""
    try:
        reply = orjson.loads(content)
        choice = reply["choices"][0]
        text = choice["message"].get("content") or ""
        return Completion(well_formed(text), choice.get("finish_reason"), _usage(reply))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        detail = f"the response is not a chat completion ({type(error).__name__})"
        raise CallError("malformed_response", detail, retry=True) from None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait according to ``retry-after-ms`` or ``retry-after`` (seconds or a date)."""
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    if value is None:
        return None
    if (seconds := _number(value)) is not None:
        return seconds
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _number(value: str | None) -> float | None:
    try:
        return max(0.0, float(value)) if value is not None else None
    except ValueError:
        return None


def _usage(reply: dict[str, Any]) -> Usage:
    usage = reply.get("usage") or {}
    details = usage.get("prompt_tokens_details") or {}
    return Usage(
        prompt_tokens=int(usage.get("prompt_tokens") or 0),
        cached_tokens=int(details.get("cached_tokens") or 0),
        completion_tokens=int(usage.get("completion_tokens") or 0),
    )


def _http_client(settings: TeacherSettings) -> Any:
    """The aiohttp transport, about three times as fast, or None for the client's own."""
    import httpx2
    from openai import DefaultAioHttpClient

    limits = httpx2.Limits(
        max_connections=settings.concurrency, max_keepalive_connections=settings.concurrency
    )
    try:
        return DefaultAioHttpClient(limits=limits)
    except (RuntimeError, ImportError):
        return None
