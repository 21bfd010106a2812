"""Claims: which questions are in which batch, on disk, so that a batch outlives its process.

A claim is made before its batch is submitted, and closed when every reply is in the journal. In the
journal's folder, under ``batches``:

    {digest}.jsonl.zst   the input file as it is uploaded, compressed; locked by who follows it
    {digest}.json        whose batch it is, its questions, the ids that the provider has given
    {digest}.output      its results while they are read, and .errors
    {digest}.done        how it ended
    .lock                held while claims are looked up and made
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import io
import os
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, cast

import orjson
import zstandard

from mira.errors import UserError
from mira.io import read_json, write_bytes, write_json
from mira.prompts import Message
from mira.teacher.journal.errors import cannot
from mira.teacher.pricing import Charge

FOLDER = "batches"
URL: Final = "/v1/chat/completions"

_INPUT, _STATE, _DONE = ".jsonl.zst", ".json", ".done"
_RESULTS = (".output", ".errors")
_LOCK = ".lock"


class Question(NamedTuple):
    """One request of a batch: its journal key, its sample, and the most it may cost."""

    key: str
    sample: int
    most: Charge


def input_line(key: str, body: bytes) -> bytes:
    """A line of a batch's input file: the body of a live call, under its journal key."""
    line = {"custom_id": key, "method": "POST", "url": URL, "body": orjson.Fragment(body)}
    return orjson.dumps(line) + b"\n"


@dataclass(eq=False)
class Claim:
    """The questions of one batch; ``fresh`` if this process is the one that submits it.

    ``input`` stays open as long as the claim is followed: it is the lock, and it can be read even
    when another process has closed the claim and removed the file. ``result_paths`` are where the
    output file and the error file are downloaded to.
    """

    digest: str
    payer: str
    questions: tuple[Question, ...]
    input: BinaryIO
    result_paths: tuple[Path, Path]
    fresh: bool = False
    file_id: str | None = None
    batch_id: str | None = None

    @property
    def may_have_batch(self) -> bool:
        """Whether the provider may have been asked to make the batch."""
        return not self.fresh or self.file_id is not None or self.batch_id is not None

    def content(self) -> bytes:
        """The batch's input file."""
        with self._open_input() as lines:
            return lines.read()

    def iter_messages(self) -> Iterator[tuple[Question, list[Message]]]:
        """Every question with its messages, in the order of the input file."""
        with self._open_input() as lines:
            for question, line in zip(self.questions, lines, strict=True):
                yield question, orjson.loads(line)["body"]["messages"]

    def try_lock(self) -> bool:
        """Become the one who follows the batch; False while another one does."""
        try:
            fcntl.flock(self.input, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Let go of the input file and of its lock."""
        self.input.close()

    @contextmanager
    def _open_input(self) -> Iterator[BinaryIO]:
        self.input.seek(0)
        reader = zstandard.ZstdDecompressor().stream_reader(self.input, closefd=False)
        with io.BufferedReader(cast(io.RawIOBase, reader)) as lines:
            yield lines


class Claims:
    """The open claims on batches of one model at one endpoint, of all processes.

    Raises UserError where the folder cannot be read or written.
    """

    def __init__(self, journal_folder: Path, base_url: str, model: str):
        self.folder = journal_folder / FOLDER
        self._owner = {"base_url": base_url, "model": model}
        with self._told("write"):
            self.folder.mkdir(parents=True, exist_ok=True)

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Keep every other process from making claims while the block runs."""
        with (self.folder / _LOCK).open("ab") as handle:
            await asyncio.to_thread(fcntl.flock, handle, fcntl.LOCK_EX)
            yield

    def find(self, known: Iterable[str]) -> list[Claim]:
        """Open claims, oldest first, without those whose digests are ``known``. Needs the lock."""
        known = set(known)
        with self._told("read"):
            self._remove_orphans()
            paths = [p for p in self.folder.glob(f"*{_STATE}") if p.stem not in known]
            found = [self._load(path) for path in paths]
        claims = [pair for pair in found if pair is not None]
        return [claim for _, claim in sorted(claims, key=lambda pair: pair[0])]

    def make(self, payer: str, questions: Iterable[Question], lines: Iterable[bytes]) -> Claim:
        """Claim the questions: durable, and locked, when this returns. Needs the lock."""
        questions = tuple(questions)
        digest = self._digest(question.key for question in questions)
        with self._told("write"):
            path = self.folder / f"{digest}{_INPUT}"
            write_bytes(zstandard.ZstdCompressor().compress(b"".join(lines)), path)
            results = self._result_paths(digest)
            claim = Claim(digest, payer, questions, path.open("rb"), results, fresh=True)
            claim.try_lock()
        self.save(claim)
        return claim

    def save(self, claim: Claim) -> None:
        """Store what is known of a claim."""
        state = {
            **self._owner,
            "payer": claim.payer,
            "saved": time.time(),
            "file_id": claim.file_id,
            "batch_id": claim.batch_id,
            "questions": [(q.key, q.sample, q.most.money, q.most.tokens) for q in claim.questions],
        }
        with self._told("write"):
            write_bytes(orjson.dumps(state), self.folder / f"{claim.digest}{_STATE}")

    def is_open(self, claim: Claim) -> bool:
        """Whether nobody has closed this claim, or closed it and made it anew."""
        try:
            there = (self.folder / f"{claim.digest}{_INPUT}").stat()
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(claim.input.fileno()))

    def finish(self, claim: Claim, summary: Mapping[str, Any]) -> None:
        """Close a claim whose batch has ended and whose replies are in the journal."""
        with self._told("write"):
            ids = {"file_id": claim.file_id, "batch_id": claim.batch_id, "payer": claim.payer}
            done = {**self._owner, **ids, "questions": len(claim.questions), **summary}
            write_json(done, self.folder / f"{claim.digest}{_DONE}")
        self.drop(claim)

    def drop(self, claim: Claim) -> None:
        """Close a claim as if it had never been made: there is no batch."""
        with self._told("write"):
            for suffix in (_STATE, _INPUT, *_RESULTS):
                (self.folder / f"{claim.digest}{suffix}").unlink(missing_ok=True)

    def _result_paths(self, digest: str) -> tuple[Path, Path]:
        output, errors = _RESULTS
        return self.folder / f"{digest}{output}", self.folder / f"{digest}{errors}"

    def _digest(self, keys: Iterable[str]) -> str:
        """The batch's name: the hash of its questions and of how often they were in one before."""
        owned = [*self._owner.values(), sorted(keys)]
        turn = 0
        while True:
            digest = hashlib.blake2b(orjson.dumps([*owned, turn]), digest_size=16).hexdigest()
            if not (self.folder / f"{digest}{_DONE}").exists():
                return digest
            turn += 1

    def _load(self, path: Path) -> tuple[float, Claim] | None:
        try:
            state = read_json(path)
        except FileNotFoundError:
            return None
        if any(state[name] != value for name, value in self._owner.items()):
            return None
        input_file = self._open_input(path)
        if input_file is None:
            return None
        claim = Claim(
            path.stem,
            state["payer"],
            tuple(Question(k, s, Charge(m, t)) for k, s, m, t in state["questions"]),
            input_file,
            self._result_paths(path.stem),
            file_id=state["file_id"],
            batch_id=state["batch_id"],
        )
        return state["saved"], claim

    def _open_input(self, path: Path) -> BinaryIO | None:
        """The input file that belongs to a state file; None when the claim was closed just now."""
        input_path = path.with_suffix(_INPUT)
        try:
            return input_path.open("rb")
        except FileNotFoundError:
            if not path.exists():
                return None
            raise UserError(
                f"{input_path} is missing, the input of a batch that was submitted and not fetched "
                f"({path}). Put it back; or remove {path.name} as well, and its questions are "
                f"asked, and paid, again."
            ) from None

    def _remove_orphans(self) -> None:
        """Remove input files of claims that a process died over while it made them."""
        for path in self.folder.glob(f"*{_INPUT}"):
            if not path.with_name(path.name.removesuffix(_INPUT) + _STATE).exists():
                path.unlink(missing_ok=True)

    @contextmanager
    def _told(self, verb: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise cannot(verb, self.folder, error) from error
