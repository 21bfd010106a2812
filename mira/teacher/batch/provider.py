"""A provider's files and batches, through the maintained ``openai`` client."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mira.errors import UserError
from mira.teacher.batch.claims import URL
from mira.teacher.settings import TeacherSettings

T = TypeVar("T")

TAG = "mira"

_ENDED = {"completed", "failed", "expired", "cancelled"}
_PASSING_STATUS = {408, 409, 425, 429}
_UNLISTED_STATUS = {404, 405, 501}
_PAGE = 100
_DETAIL_CHARS = 300
_QUEUE_FULL = "token_limit_exceeded"

logger = logging.getLogger(__name__)


class NotCreated(UserError):
    """The provider refused to make a batch: there is none, and nothing is billed."""


@dataclass(frozen=True)
class Problem:
    """What the provider says is wrong with a batch; ``line`` counts input lines from 1."""

    code: str
    message: str
    line: int | None


@dataclass(frozen=True)
class BatchView:
    """How far a batch is, as its provider tells it."""

    id: str
    status: str
    completed: int
    failed: int
    total: int
    output_file: str | None
    error_file: str | None
    problems: tuple[Problem, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether the provider does no more work on it."""
        return self.status in _ENDED

    @property
    def lacks_files(self) -> bool:
        """Whether results are announced but not there."""
        announced = self.completed if self.output_file is None else 0
        return self.ended and announced > 0

    @property
    def queue_full(self) -> bool:
        """Whether it was turned away because too much is waiting at the provider."""
        return self.status == "failed" and any(p.code == _QUEUE_FULL for p in self.problems)


class Provider:
    """The batch API of ``settings.base_urls[0]``.

    Passing faults (429, 5xx, lost connections) are waited out for ``settings.max_outage_s``. Raises
    UserError for lasting ones, and when the key's environment variable is not set.
    """

    def __init__(self, settings: TeacherSettings):
        from openai import AsyncOpenAI

        self._settings = settings
        self._key = settings.api_key()
        self._url = settings.base_urls[0]
        self._uploading = asyncio.Lock()
        self._client = AsyncOpenAI(
            base_url=self._url,
            api_key=self._key or "none",
            max_retries=0,
            timeout=settings.timeout_s,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def upload(self, name: str, content: Callable[[], bytes]) -> str:
        """Upload an input file; its id. One at a time, so that one is in memory at a time."""
        async with self._uploading:
            file = (name, content(), "application/jsonl")
            made = await self._patiently(
                lambda: self._client.files.create(file=file, purpose="batch")
            )
            return made.id

    async def create(self, digest: str, file_id: str) -> BatchView:
        """Make a batch of an uploaded file, tagged with the digest.

        A request that may have been heard is never repeated before the provider's list says that
        it was not. Raises NotCreated when the provider refuses.
        """
        trier = _Trier(self._settings)
        heard = False
        while True:
            try:
                return _view(
                    await self._client.batches.create(
                        input_file_id=file_id,
                        endpoint=URL,
                        completion_window=self._settings.batch.completion_window,  # type: ignore[arg-type]
                        metadata={TAG: digest},
                    )
                )
            except _faults() as error:
                if (lasting := self._lasting(error)) is not None:
                    raise (UserError if heard else NotCreated)(lasting) from None
                if not await trier.wait():
                    raise UserError(self._gone(error)) from None
            heard = True
            if (found := await self.find(digest, file_id)) is not None:
                return found

    async def find(self, digest: str, file_id: str | None) -> BatchView | None:
        """The batch that carries the digest or was made of the file, if there is one.

        One that failed counts only if there is no other. A provider without a list has none.
        """
        failed = None
        try:
            for batch in await self._patiently(self._list):
                tag = (batch.get("metadata") or {}).get(TAG)
                if tag == digest or (file_id and batch.get("input_file_id") == file_id):
                    view = _view(batch)
                    if view.status != "failed":
                        return view
                    failed = view
        except _Unlisted:
            logger.warning("%s does not list batches: one that was lost cannot be found", self._url)
        return failed

    async def look(self, batch_id: str) -> BatchView | None:
        """How far a batch is; None when the provider does not know it."""
        batch = await self._unless_unknown(lambda: self._client.batches.retrieve(batch_id))
        return None if batch is None else _view(batch)

    async def download(self, file_id: str, path: Path) -> bool:
        """Put a file's content at ``path``; False when the provider no longer has it."""

        async def fetch() -> bool:
            contents = self._client.files.with_streaming_response
            async with contents.content(file_id) as response:
                with path.open("wb") as handle:
                    async for chunk in response.iter_bytes():
                        handle.write(chunk)
            return True

        return await self._unless_unknown(fetch) or False

    async def _list(self) -> list[dict[str, Any]]:
        """All batches of the account, newest first."""
        import openai

        try:
            pages = self._client.batches.list(limit=_PAGE)
            return [batch.to_dict() async for batch in pages]
        except openai.APIStatusError as error:
            if error.status_code in _UNLISTED_STATUS:
                raise _Unlisted from None
            raise

    async def _unless_unknown(self, call: Callable[[], Awaitable[T]]) -> T | None:
        """The call's result; None when what it asks for does not exist."""
        import openai

        async def answer() -> T | None:
            try:
                return await call()
            except openai.NotFoundError:
                return None

        return await self._patiently(answer)

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """The call's result; it is repeated after passing faults, so it must be harmless to."""
        trier = _Trier(self._settings)
        while True:
            try:
                return await call()
            except _faults() as error:
                if (lasting := self._lasting(error)) is not None:
                    raise UserError(lasting) from None
                logger.warning("%s: %s; trying again", self._url, self._say(error))
                if not await trier.wait():
                    raise UserError(self._gone(error)) from None

    def _lasting(self, error: Exception) -> str | None:
        """What to tell the user about a fault that no further try can cure; None if one may."""
        status = getattr(error, "status_code", None)
        said = self._say(error)
        if status in (401, 403):
            variable = self._settings.api_key_env
            remedy = f"check the key in {variable}" if variable else "set teacher.api_key_env"
            return f"{self._url} refused the key ({status}): {remedy}. It said: {said}"
        if getattr(error, "code", None) == "insufficient_quota":
            return f"{self._url} has no credit left for this key. It said: {said}"
        if status is None or status >= 500 or status in _PASSING_STATUS:
            return None
        return (
            f"{self._url} refused a request of its batch API ({status}). It said: {said}. Check "
            f"teacher.base_urls and teacher.model, and that this provider has a batch API for it; "
            f"teacher.mode: live does without."
        )

    def _gone(self, error: Exception) -> str:
        return (
            f"{self._url} has not answered for teacher.max_outage_s="
            f"{self._settings.max_outage_s:g} s. The last error: {self._say(error)}. Batches that "
            f"were submitted go on there: start again, and they are picked up."
        )

    def _say(self, error: Exception) -> str:
        text = str(error) or type(error).__name__
        return (text.replace(self._key, "***") if self._key else text)[:_DETAIL_CHARS]


@asynccontextmanager
async def open_provider(settings: TeacherSettings) -> AsyncIterator[Provider]:
    """The provider, its connections closed when the block ends."""
    provider = Provider(settings)
    try:
        yield provider
    finally:
        await provider.close()


class _Unlisted(Exception):
    """The provider has no list of batches."""


class _Trier:
    """Waits between tries, ever longer, for as long as an outage may last."""

    def __init__(self, settings: TeacherSettings):
        self._settings = settings
        self._started = time.monotonic()
        self._tries = 0

    async def wait(self) -> bool:
        """Wait before the next try; False when there should be none."""
        settings = self._settings
        if time.monotonic() - self._started >= settings.max_outage_s:
            return False
        await asyncio.sleep(min(settings.backoff_s * 2**self._tries, settings.backoff_max_s))
        self._tries += 1
        return True


def _faults() -> tuple[type[Exception], ...]:
    import httpx2
    import openai

    return (openai.APIError, httpx2.HTTPError, OSError)


def _view(batch: Any) -> BatchView:
    """Reads leniently: compatible providers differ in case, and in which fields they fill."""
    fields = batch if isinstance(batch, dict) else batch.to_dict()
    counts = fields.get("request_counts") or {}
    return BatchView(
        id=str(fields["id"]),
        status=str(fields.get("status") or "").lower(),
        completed=int(counts.get("completed") or 0),
        failed=int(counts.get("failed") or 0),
        total=int(counts.get("total") or 0),
        output_file=fields.get("output_file_id") or None,
        error_file=fields.get("error_file_id") or None,
        problems=_problems(fields.get("errors")),
    )


def _problems(errors: Any) -> tuple[Problem, ...]:
    rows = errors.get("data") if isinstance(errors, dict) else None
    return tuple(
        Problem(str(row.get("code") or ""), str(row.get("message") or ""), row.get("line"))
        for row in rows or ()
        if isinstance(row, dict)
    )
