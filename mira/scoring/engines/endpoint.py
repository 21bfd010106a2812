"""Many calls at once to one OpenAI-compatible endpoint, and what their failures mean.

The `openai` client does the retries (with the endpoint's own waiting times) and the back-off.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

import openai

from mira.config import Scoring
from mira.config.students import Served
from mira.errors import UserError

TIMEOUT_S = 300.0
MAX_RETRIES = 5
MAX_FAILED_SHARE = 0.05
_DETAIL_CHARS = 300
_TOO_LONG = ("context length", "context_length", "max_model_len", "maximum context", "too long")

log = logging.getLogger(__name__)

T = TypeVar("T")
Call = Callable[[openai.AsyncOpenAI], Awaitable[T]]


class EndpointClient:
    """The endpoint of one student; ``url`` and ``model`` are as in ``scoring.served``.

    Key and concurrency are those of ``scoring``: keys come from the environment and are shown
    nowhere. Raises UserError where the URL or the key cannot be used.
    """

    def __init__(
        self,
        served: Served,
        scoring: Scoring,
        *,
        timeout_s: float = TIMEOUT_S,
        max_retries: int = MAX_RETRIES,
    ):
        _check_url(served.url)
        self.url = served.url.rstrip("/")
        self.model = served.model
        self._api_key_env = scoring.api_key_env
        self._key = _read_key(scoring.api_key_env)
        self._concurrency = scoring.concurrency
        self._accepted = False
        self._runner = asyncio.Runner()
        self._client = openai.AsyncOpenAI(
            base_url=self.url,
            api_key=self._key or "none",
            timeout=timeout_s,
            max_retries=max_retries,
        )

    def ask_all(self, calls: Sequence[Call[T]]) -> list[T | None]:
        """Results of all calls; None where the endpoint refused or failed one of them.

        Raises UserError where no call can succeed (endpoint down, key refused, model unknown,
        every request refused) and where more than ``MAX_FAILED_SHARE`` of the calls failed, so
        that an ill endpoint does not leave a corpus without scores.
        """
        return self._runner.run(self._ask_all(calls))

    def ask(self, call: Call[T]) -> T:
        """The result of a call that must succeed; UserError where it does not."""
        found = self.ask_all([call])[0]
        if found is None:
            raise UserError(f"{self.url} (scoring.served) gave no answer; the log above says why.")
        return found

    def fetch_text(self, path: str) -> str | None:
        """A page of the server beside its API (``/metrics``), None where it has none."""
        root = self.url.removesuffix("/v1")

        async def fetch() -> str:
            once = self._client.with_options(max_retries=0, timeout=10)
            return await once.get(f"{root}{path}", cast_to=str)

        try:
            return self._runner.run(fetch())
        except openai.OpenAIError:
            return None

    def close(self) -> None:
        """Close all connections."""
        self._runner.run(self._client.close())
        self._runner.close()

    async def _ask_all(self, calls: Sequence[Call[T]]) -> list[T | None]:
        room = asyncio.Semaphore(self._concurrency)
        failures: list[openai.APIError] = []

        async def answer(call: Call[T]) -> T | None:
            async with room:
                try:
                    result = await call(self._client)
                except openai.APIError as error:
                    self._stop_if_hopeless(error)
                    failures.append(error)
                    return None
                self._accepted = True
                return result

        tasks = [asyncio.create_task(answer(call)) for call in calls]
        try:
            results = await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        self._judge(failures, len(calls))
        return list(results)

    def _stop_if_hopeless(self, error: openai.APIError) -> None:
        """Raise UserError for an error that every further call would meet too."""
        said = self._say(error)
        status = getattr(error, "status_code", None)
        if isinstance(error, openai.APIConnectionError) and not isinstance(
            error, openai.APITimeoutError
        ):
            raise UserError(
                f"{self.url} (scoring.served) cannot be reached: {said}. Check that the server "
                "runs and that this machine reaches it (HTTPS_PROXY, NO_PROXY); then start again: "
                "what is scored stays."
            )
        if status == 401 or (status == 403 and not self._accepted):
            remedy = (
                f"check the key in {self._api_key_env}"
                if self._api_key_env
                else "set scoring.api_key_env"
            )
            raise UserError(f"{self.url} refused the key ({status}): {remedy}. It said: {said}")
        if status == 404:
            raise UserError(
                f"{self.url} does not know the model '{self.model}' or the path (404): check "
                f"scoring.served (a URL usually ends in /v1). It said: {said}"
            )
        if status == 402 or error.code == "insufficient_quota":
            raise UserError(f"{self.url} has no credit left for this key. It said: {said}")

    def _judge(self, failures: Sequence[openai.APIError], asked: int) -> None:
        """Raise UserError where a batch's failures are more than single records."""
        if not failures:
            return
        counts = Counter(self._say(error) for error in failures)
        said, _ = counts.most_common(1)[0]
        log.warning("%d of %d calls to %s failed: %s", len(failures), asked, self.url, said)
        refused = [error for error in failures if _is_refusal(error)]
        broken = len(failures) - len(refused)
        if broken == asked or (broken > 1 and broken > MAX_FAILED_SHARE * asked):
            raise UserError(
                f"{self.url} (scoring.served) failed {broken} of {asked} calls after all retries. "
                f"The most frequent error: {said}. Start again when it is well, or lower "
                "scoring.concurrency; what is scored stays."
            )
        about_request = [error for error in refused if not _is_too_long(error)]
        if about_request and len(refused) == asked and not self._accepted:
            raise UserError(
                f"{self.url} (scoring.served) refuses the requests of this readout: {said}. If it "
                "gives no log-probabilities, set scoring.readout to 'sample' or 'greedy'."
            )

    def _say(self, error: openai.APIError) -> str:
        cause = error.__cause__ if isinstance(error, openai.APIConnectionError) else None
        text = f"{error.message} ({cause})" if cause is not None else error.message
        text = " ".join(text.split())
        return (text.replace(self._key, "***") if self._key else text)[:_DETAIL_CHARS]


def _is_refusal(error: openai.APIError) -> bool:
    """Whether the endpoint refused the request itself, rather than failed at it."""
    status = getattr(error, "status_code", 500)
    return 400 <= status < 500 and status not in (408, 409, 429)


def _is_too_long(error: openai.APIError) -> bool:
    return any(words in error.message.lower() for words in _TOO_LONG)


def _read_key(variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise UserError(
            f"The environment variable {variable} (scoring.api_key_env) is not set: put the key of "
            "the students' endpoints into it and start again."
        )
    if not (key.isascii() and key.isprintable()):
        raise UserError(
            f"The key in {variable} (scoring.api_key_env) holds characters that cannot be sent: it "
            "must be printable ASCII on one line."
        )
    return key


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable, parts = False, urlsplit("")
    if parts.username or parts.password:
        raise UserError(
            f"scoring.served: the URL at {parts.hostname} holds credentials: put the key into an "
            "environment variable and the variable's name into scoring.api_key_env."
        )
    if not usable:
        raise UserError(
            "scoring.served: an url is not that of an endpoint: expected something like "
            "http://host:8000/v1."
        )


def usage_of(reply: Any) -> tuple[int, int]:
    """Prompt and output tokens that a reply counts; zeros where it does not."""
    usage = getattr(reply, "usage", None)
    return (usage.prompt_tokens or 0, usage.completion_tokens or 0) if usage else (0, 0)
