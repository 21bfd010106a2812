"""One OpenAI-compatible endpoint: a single call, and what its failure means."""

from __future__ import annotations

import email.utils
import html
import json
import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.request import getproxies, proxy_bypass

import aiohttp
import orjson
from yarl import URL

from mira.errors import UserError
from mira.prompts import well_formed
from mira.teacher.pricing import Usage
from mira.teacher.settings import TeacherSettings

RETRIED_STATUS = {408, 409, 425, 429}
_GATEWAY_TIMEOUTS = {504, 524}
DETAIL_CHARS = 300
_MOST_TOKENS = 10**9
_LONGEST_CONNECT_S = 30.0
_LONGEST_PROBE_S = 5.0
_KEEP_ALIVE_S = 4.0
"""uvicorn and Node close idle connections after 5 s; a question must not meet that moment."""

_HTML = re.compile(rb"\s*<(?:!doctype|html|head|body|\?xml)", re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_NOT_OPENED = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
)
_UNREADABLE = (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError)

Heed = Callable[[Mapping[str, str]], None]


@dataclass(frozen=True)
class Completion:
    """What the endpoint sent back: the text of the first choice.

    ``usage`` is None where the endpoint counted no tokens.
    """

    text: str
    finish_reason: str | None
    usage: Usage | None


class CallError(Exception):
    """A call that brought no reply.

    ``retry`` says whether another try may, ``wait_s`` how long the endpoint wants that to wait.
    ``billed`` is False where the endpoint certainly bills nothing: it answered with an error, or
    no connection could be opened. Wherever the outcome is unknown it is True.
    """

    def __init__(
        self,
        reason: str,
        detail: str,
        *,
        retry: bool,
        wait_s: float | None = None,
        billed: bool,
    ):
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.retry = retry
        self.wait_s = wait_s
        self.billed = billed


class Endpoint:
    """A base URL with its own connections; ``name`` is the URL as it may be shown.

    ``heed`` is given the headers of every answer to a call. Needs a running loop. Raises UserError
    when the URL or the key cannot be used.
    """

    def __init__(self, base_url: str, settings: TeacherSettings, heed: Heed = lambda headers: None):
        base = _read_url(base_url)
        self.name = str(base.with_query(None)).rstrip("/")
        self._chat = (base / "chat" / "completions").with_query(base.query)
        self._models = (base / "models").with_query(base.query)
        self._settings = settings
        self._heed = heed
        self._key = settings.api_key()
        self._accepted = False
        self._session = _open_session(base, self._key, settings)

    async def complete(self, body: bytes) -> Completion:
        """Send one request body to ``/chat/completions``.

        Raises CallError when there is no usable reply, UserError when no call can succeed (key
        refused, model unknown, no credit left). Neither shows the key.
        """
        try:
            async with self._session.post(self._chat, data=body, allow_redirects=False) as response:
                self._heed(response.headers)
                if response.status >= 300:
                    raise self._explain(response, await _read_error(response))
                content = await response.read()
        except _NOT_OPENED as error:
            reason = "timeout" if isinstance(error, TimeoutError) else "connection"
            raise CallError(reason, self._say(error), retry=True, billed=False) from None
        except TimeoutError:
            limit = f"no reply within {self._settings.timeout_s:g} s"
            raise CallError("timeout", limit, retry=True, billed=True) from None
        except (aiohttp.ClientError, OSError) as error:
            raise CallError("connection", self._say(error), retry=True, billed=True) from None
        completion = read_completion(content, self._hide)
        self._accepted = True
        return completion

    async def probe(self) -> bool:
        """Whether ``/models`` is answered at all, be it with an error below 500."""
        limit = aiohttp.ClientTimeout(min(_LONGEST_PROBE_S, self._settings.timeout_s))
        try:
            async with self._session.get(
                self._models, timeout=limit, allow_redirects=False
            ) as response:
                return response.status < 500
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    def _explain(self, response: aiohttp.ClientResponse, content: bytes) -> CallError | UserError:
        """What an answer that is not a success means.

        Filters between here and the model answer 403 to single records; so once the key has been
        accepted, 403 is about the record.
        """
        status, headers = response.status, response.headers
        message, code = read_error(content)
        message = message or response.reason or "nothing"
        said = self._hide(message)
        if status == 401 or (status == 403 and not self._accepted):
            variable = self._settings.api_key_env
            remedy = f"check the key in {variable}" if variable else "set teacher.api_key_env"
            return UserError(f"{self.name} refused the key ({status}): {remedy}. It said: {said}")
        if status == 404:
            return UserError(
                f"{self.name} does not know the model '{self._settings.model}' or the path "
                f"/chat/completions (404): check teacher.model and teacher.base_urls (an URL "
                f"usually ends in /v1). It said: {said}"
            )
        if status == 402 or code == "insufficient_quota":
            return UserError(f"{self.name} has no credit left for this key. It said: {said}")
        detail, wait_s = self._hide(f"{status}: {message}"), retry_after(headers)
        if status == 429:
            return CallError("rate_limited", detail, retry=True, wait_s=wait_s, billed=False)
        if status in _GATEWAY_TIMEOUTS:
            # The gateway gave up waiting; whoever is behind it may finish the reply and bill it.
            return CallError("server_error", detail, retry=True, wait_s=wait_s, billed=True)
        if status >= 500 or status in RETRIED_STATUS:
            return CallError("server_error", detail, retry=True, wait_s=wait_s, billed=False)
        if 300 <= status < 400:
            detail = self._hide(_say_redirect(status, headers.get("location", "")))
        return CallError("refused_by_endpoint", detail, retry=False, billed=False)

    def _say(self, error: Exception) -> str:
        text = error.message if isinstance(error, aiohttp.ClientResponseError) else str(error)
        return self._hide(text or type(error).__name__)

    def _hide(self, text: str) -> str:
        """The text without the key, shortened only then, so that no half of the key is left."""
        return _shorten(text.replace(self._key, "***") if self._key else text)


# --- what a response says -----------------------------------------------------------------------


def _shorten(text: str) -> str:
    return text[:DETAIL_CHARS]


def read_completion(content: bytes, hide: Callable[[str], str] = _shorten) -> Completion:
    """The completion in a response body; raises CallError when it is not one.

    ``hide`` makes what the body says instead fit to be shown.
    """
    try:
        reply = _load(content)
        choice = reply["choices"][0]
        text = _read_text(choice["message"])
        finish_reason = choice.get("finish_reason")
    except _UNREADABLE as error:
        said = read_error(content)[0] or "nothing"
        detail = hide(f"the response is not a chat completion ({type(error).__name__}): {said}")
        raise CallError("malformed_response", detail, retry=True, billed=True) from None
    if not isinstance(finish_reason, str):
        finish_reason = None
    return Completion(text, finish_reason, _read_usage(reply.get("usage")))


def read_error(content: bytes) -> tuple[str, str | None]:
    """What the body of an error says, in plain words on one line, and its code."""
    code = None
    try:
        found = _load(content)
        found = found[0] if isinstance(found, list) and found else found
        if isinstance(found, dict):
            found = found.get("error") or found.get("message") or found.get("detail") or found
        if isinstance(found, dict):
            code = found.get("code") or found.get("type")
            found = found.get("message") or found
        text = found if isinstance(found, str) else orjson.dumps(found).decode()
    except _UNREADABLE:
        text = content[: 64 * 1024].decode("utf-8", "replace")
        if _HTML.match(content):
            title = _TITLE.search(text)
            text = html.unescape(title[1] if title else _TAG.sub(" ", text))
    return " ".join(well_formed(text).split()), str(code) if code else None


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
    except (ValueError, OverflowError):
        return None


def _number(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else math.nan
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None


def _load(content: bytes) -> Any:
    """Parsed JSON; what is only nearly JSON (half a surrogate, a broken byte) is paid for too."""
    try:
        return orjson.loads(content)
    except ValueError:
        return json.loads(content.decode("utf-8-sig", "replace"), object_pairs_hook=_mend)


def _mend(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: well_formed(value) if isinstance(value, str) else value for name, value in pairs}


def _read_text(message: dict[str, Any]) -> str:
    """A message's content: a string, text parts, or nothing (then a refusal is the text)."""
    content = message.get("content")
    if content is None:
        content = message.get("refusal") or ""
    if isinstance(content, list):
        content = "".join(part["text"] for part in content if part.get("type") == "text")
    if not isinstance(content, str):
        raise TypeError("content is neither text nor parts")
    return content


def _read_usage(usage: Any) -> Usage | None:
    """Token counts, from the places where providers put them; None when they cannot be read.

    Where thinking is left out of ``completion_tokens`` it is still in ``total_tokens``.
    """
    try:
        prompt, completion = int(usage["prompt_tokens"]), int(usage["completion_tokens"])
        completion = max(completion, int(usage.get("total_tokens") or 0) - prompt)
        in_prompt = usage.get("prompt_tokens_details") or {}
        in_completion = usage.get("completion_tokens_details") or {}
        cached = int(
            in_prompt.get("cached_tokens")
            or usage.get("cached_tokens")
            or usage.get("prompt_cache_hit_tokens")
            or 0
        )
        thinking = int(in_completion.get("reasoning_tokens") or 0)
    except (*_UNREADABLE, OverflowError):
        return None
    counts = (completion, cached, thinking)
    if prompt < 1 or min(counts) < 0 or max(prompt, *counts) > _MOST_TOKENS:
        return None
    return Usage(prompt, min(cached, prompt), completion, min(thinking, completion))


async def _read_error(response: aiohttp.ClientResponse) -> bytes:
    """The body of an error; nothing when it does not come, for its status says enough."""
    try:
        return await response.read()
    except (aiohttp.ClientError, OSError, TimeoutError):
        return b""


def _say_redirect(status: int, location: str) -> str:
    return (
        f"{status}: it redirects to {location.partition('?')[0] or 'nowhere'}, which is not "
        f"followed, so that the key goes nowhere else: put the right URL into teacher.base_urls"
    )


# --- connections --------------------------------------------------------------------------------


def _read_url(base_url: str) -> URL:
    try:
        url = URL(base_url)
    except ValueError:
        url = URL()
    if url.scheme not in ("http", "https") or not url.host:
        shown = re.sub(r"[^/]*@", "***@", base_url)
        raise UserError(
            f"teacher.base_urls: '{shown}' is not the URL of an endpoint: expected something like "
            f"https://host/v1"
        )
    if url.user or url.password:
        raise UserError(
            f"teacher.base_urls: the URL at {url.host} holds credentials: put the key into an "
            f"environment variable and the variable's name into teacher.api_key_env"
        )
    return url


def _open_session(base: URL, key: str | None, settings: TeacherSettings) -> aiohttp.ClientSession:
    headers = {"content-type": "application/json"}
    if key is not None:
        if not (key.isascii() and key.isprintable()):
            raise UserError(
                f"The key in {settings.api_key_env} holds characters that cannot be sent: it must "
                f"be printable ASCII on one line"
            )
        headers["authorization"] = f"Bearer {key}"
    return aiohttp.ClientSession(
        headers=headers,
        # One more than there are calls at once, for the probe.
        connector=aiohttp.TCPConnector(
            limit=settings.concurrency + 1, keepalive_timeout=_KEEP_ALIVE_S
        ),
        timeout=aiohttp.ClientTimeout(
            total=settings.timeout_s, connect=min(_LONGEST_CONNECT_S, settings.timeout_s / 2)
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        proxy=_proxy_for(base),
    )


def _proxy_for(url: URL) -> URL | None:
    """The environment's proxy for a URL.

    aiohttp's own ``trust_env`` would read the environment in a thread for each request, and add
    credentials from ``~/.netrc``.
    """
    said = getproxies().get(url.scheme)
    if not said or proxy_bypass(url.host or ""):
        return None
    try:
        proxy = URL(said if "://" in said else f"http://{said}")
    except ValueError:
        proxy = URL()
    if proxy.scheme not in ("http", "https") or not proxy.host:
        raise UserError(
            f"The environment variable {url.scheme.upper()}_PROXY does not name a proxy that can "
            f"be used: expected http://host:port; or add {url.host} to NO_PROXY"
        )
    return proxy
