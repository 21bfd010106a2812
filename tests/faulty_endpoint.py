"""An OpenAI-compatible endpoint that fails in every way a teacher can, the same way every time.

    python tests/faulty_endpoint.py --seed 7 --fault-share 0.3 --log events.jsonl

prints its URL and serves until its stdin is closed. The given share of the questions has one to
three faults, drawn from the seed and the question. Faults of transport spoil a question's first
tries, one each; with ``--lasting`` the first of them spoils every try. A fault of the reply is the
record's own and comes with every try, so a run with ``--quiet`` (no faults of transport) ends in
the same labels. The log gets one line when a question comes and one when it is done with; questions
are named by their journal key.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson
from aiohttp import web

from mira.teacher.journal import reply_key

STATUSES = {"429": 429, "429_retry_after": 429, "500": 500, "502": 502, "503": 503}
BODIES = {"not_json": b'{"choices": [{"mess', "no_choices": b'{"choices": []}', "empty_body": b""}
TRANSPORT_FAULTS = (*STATUSES, *BODIES, "timeout", "dropped", "dropped_midway", "slow_stream")
REPLY_FAULTS = (
    "empty",
    "truncated",
    "doubled",
    "reversed",
    "above_ten",
    "missing_slots",
    "prose",
    "thinking",
    "chinese",
    "refusal",
    "filtered",
    "refused_by_filter",
)
MOST_FAULTS = 3
RETRY_AFTER_S = 0.05
DRIBBLE_S = 0.05
MENDED_SHARE = 0.5

_RECORD = re.compile(r"^<record ([0-9a-f]{16})>$", re.MULTILINE)
_SLOT = re.compile(r"^\[(A\d+)\] (.+): <score>/10", re.MULTILINE)
_AGAIN = "An earlier answer to this request could not be used"
_FULL_WIDTH = str.maketrans("0123456789/:", "０１２３４５６７８９／：")


# --- what is asked, and what goes wrong ---------------------------------------------------------


@dataclass(frozen=True)
class Question:
    """A chat request: its journal key, the record's name, and whether it is asked again."""

    key: str
    record: str
    again: bool
    slots: list[tuple[str, str]]
    prompt_tokens: int

    @classmethod
    def of(cls, body: dict[str, Any]) -> Question:
        """Read an anchored prompt; whatever else is sent is part of the key."""
        messages = body["messages"]
        content = messages[-1]["content"]
        again = _AGAIN in content
        sampling = {name: body[name] for name in body if name not in ("model", "messages")}
        found = _RECORD.search(content)
        return cls(
            key=reply_key(body["model"], messages, sampling, int(again)),
            record=found[1] if found else content,
            again=again,
            slots=_SLOT.findall(content),
            prompt_tokens=sum(len(message["content"]) for message in messages) // 4,
        )


def faults_of(question: Question, seed: int, share: float) -> tuple[list[str], str | None]:
    """The transport faults of a question's first tries, and the fault of its reply."""
    drawn = _draw(seed, share, question.record)
    reply = next((fault for fault in drawn if fault in REPLY_FAULTS), None)
    if question.again:
        if random.Random(f"mended {seed} {question.record}").random() < MENDED_SHARE:
            reply = None
        drawn = _draw(seed, share, f"{question.record} again")
    return [fault for fault in drawn if fault in TRANSPORT_FAULTS], reply


def _draw(seed: int, share: float, name: str) -> list[str]:
    rng = random.Random(f"{seed} {name}")
    if rng.random() >= share:
        return []
    return rng.sample((*TRANSPORT_FAULTS, *REPLY_FAULTS), rng.randint(1, MOST_FAULTS))


# --- replies ------------------------------------------------------------------------------------


def reply_to(question: Question, fault: str | None) -> str:
    """The text of the reply, the same for the same record and fault."""
    rng = random.Random(f"reply {question.record}")
    scores = {slot: rng.randrange(11) for slot, _ in question.slots}
    lines = [
        f"[{slot}] {name}: {scores[slot]}/10 — seen {rng.randrange(1000)} times"
        for slot, name in question.slots
    ]
    lines += [
        f"overall: {rng.randint(0, 100)}",
        f"training_recommendation: {rng.choice(('keep', 'downsample', 'drop'))}",
        f"domain_tag: topic {rng.randrange(50)}",
        f"brief: Record {question.record} in one sentence.",
    ]
    return "\n".join(lines) if fault is None else _spoil(lines, fault, rng)


def _spoil(lines: list[str], fault: str, rng: random.Random) -> str:
    text = "\n".join(lines)
    if fault == "truncated":
        return text[: int(len(text) * rng.uniform(0.1, 0.7))]
    if fault == "doubled":
        return f"{text}\n{text}"
    if fault == "reversed":
        return "\n".join(reversed(lines))
    if fault == "above_ten":
        return re.sub(r"\b[7-9]/10", "11/10", text)
    if fault == "missing_slots":
        return "\n".join(rng.sample(lines, len(lines) // 2))
    if fault == "thinking":
        return f"<think>\n[A1] is perhaps 2/10.\noverall: 1\n</think>\n\n{text}"
    if fault == "chinese":
        return text.translate(_FULL_WIDTH).replace("seen", "此处可见").replace("times", "次。")
    return {
        "empty": "",
        "filtered": "The record",
        "prose": "On the whole a solid record. I would give it 7 out of 10 for most of it.",
        "refusal": "I'm sorry, but I can't help with rating this content.",
        "refused_by_filter": "",
    }[fault]


def completion(question: Question, fault: str | None) -> dict[str, Any]:
    """The chat completion, with usage that a tokenizer of four letters a token would count."""
    text = reply_to(question, fault)
    finish = {"truncated": "length", "filtered": "content_filter"}
    choice = {
        "index": 0,
        "finish_reason": finish.get(fault or "", "stop"),
        "message": {"role": "assistant", "content": text or None},
    }
    completion_tokens = len(text) // 4 + 1
    usage = {
        "prompt_tokens": question.prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": question.prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": question.prompt_tokens // 3},
        "completion_tokens_details": {"reasoning_tokens": 12 if fault == "thinking" else 0},
    }
    return {"object": "chat.completion", "model": "m", "choices": [choice], "usage": usage}


# --- the server ---------------------------------------------------------------------------------


class FaultyEndpoint:
    """Serves the plan; ``log`` gets a JSON line per event, as it happens.

    The events: ``asked``; then ``answered`` (a good response was sent whole), ``lost`` (a provider
    would bill it, but no good response was sent whole) or ``refused`` (4xx and 5xx, not billed).
    ``tokens`` are those a provider would bill.
    """

    def __init__(self, options: argparse.Namespace, log: BinaryIO):
        self._options = options
        self._log = log
        self._tries: Counter[str] = Counter()

    def app(self) -> web.Application:
        """The routes."""
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/v1/models", self._models)
        return app

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "m", "object": "model"}]})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        question = Question.of(orjson.loads(await request.read()))
        transport, reply = faults_of(question, self._options.seed, self._options.fault_share)
        self._tries[question.key] += 1
        number = self._tries[question.key]
        fault = self._fault_of_try(transport, number)
        event = {"key": question.key, "again": question.again, "try": number, "fault": fault}
        event["reply"] = reply if fault is None else None
        self._write({"event": "asked", **event})
        await asyncio.sleep(self._options.latency_s)
        if fault in STATUSES or (fault is None and reply == "refused_by_filter"):
            self._write({"event": "refused", **event, "tokens": 0})
            return _error(fault)
        body = completion(question, reply)
        event["tokens"] = body["usage"]["total_tokens"]
        if fault is None:
            return await self._answer(request, body, event)
        self._write({"event": "lost", **event})
        return await self._lose(request, body, fault)

    def _fault_of_try(self, planned: Sequence[str], number: int) -> str | None:
        if self._options.quiet or not planned:
            return None
        if self._options.lasting:
            return planned[0]
        return planned[number - 1] if number <= len(planned) else None

    async def _answer(
        self, request: web.Request, body: dict[str, Any], event: dict[str, Any]
    ) -> web.Response:
        response = web.Response(body=orjson.dumps(body), content_type="application/json")
        try:
            await response.prepare(request)
            await response.write_eof()
            self._write({"event": "answered", **event})
        except OSError:  # nobody is there any more
            self._write({"event": "lost", **event})
        return response

    async def _lose(
        self, request: web.Request, body: dict[str, Any], fault: str
    ) -> web.StreamResponse:
        if fault in BODIES:
            return web.Response(body=BODIES[fault], content_type="application/json")
        if fault == "timeout":
            await asyncio.sleep(self._options.stall_s)
        elif fault in ("dropped_midway", "slow_stream"):
            with suppress(OSError):
                await self._send_half(request, orjson.dumps(body), slowly=fault == "slow_stream")
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    async def _send_half(self, request: web.Request, body: bytes, *, slowly: bool) -> None:
        response = web.StreamResponse(headers={"content-type": "application/json"})
        response.content_length = len(body)
        await response.prepare(request)
        if not slowly:
            await response.write(body[: len(body) // 2])
            await asyncio.sleep(DRIBBLE_S)
            return
        for position in range(int(self._options.stall_s / DRIBBLE_S)):
            await response.write(body[position : position + 1])
            await asyncio.sleep(DRIBBLE_S)

    def _write(self, event: Mapping[str, Any]) -> None:
        self._log.write(orjson.dumps(event) + b"\n")
        self._log.flush()


def _error(fault: str | None) -> web.Response:
    status = STATUSES[fault] if fault else 400
    message = "injected" if fault else "the filter refused this prompt"
    headers = {"retry-after": str(RETRY_AFTER_S)} if fault == "429_retry_after" else {}
    return web.json_response({"error": {"message": message}}, status=status, headers=headers)


async def serve(options: argparse.Namespace) -> None:
    """Print the URL; serve until stdin is closed."""
    with options.log.open("ab") as log:
        runner = web.AppRunner(
            FaultyEndpoint(options, log).app(), access_log=None, shutdown_timeout=0.1
        )
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", flush=True)
        closed = asyncio.Event()
        asyncio.get_running_loop().add_reader(sys.stdin, closed.set)
        await closed.wait()
        await runner.cleanup()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fault-share", type=float, default=0.3)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--quiet", action="store_true", help="no faults of transport")
    parser.add_argument("--lasting", action="store_true", help="faults of transport never end")
    parser.add_argument("--latency-s", type=float, default=0.02)
    parser.add_argument("--stall-s", type=float, default=4.0, help="longer than any time limit")
    asyncio.run(serve(parser.parse_args()))


# --- for tests ----------------------------------------------------------------------------------


class Events:
    """The log of an endpoint, read as it grows."""

    def __init__(self, path: Path):
        self.path = path
        self.all: list[dict[str, Any]] = []
        self._read = 0

    def refresh(self) -> list[dict[str, Any]]:
        """Take in the lines that have come since; all events so far."""
        with self.path.open("rb") as handle:
            handle.seek(self._read)
            whole, newline, _ = handle.read().rpartition(b"\n")
        self._read += len(whole) + len(newline)
        self.all += [orjson.loads(line) for line in whole.splitlines()]
        return self.all

    def keys(self, kind: str, start: int = 0) -> Counter[str]:
        """How often each question had an event of the kind, from the given event on."""
        return Counter(event["key"] for event in self.all[start:] if event["event"] == kind)


@contextmanager
def faulty_endpoint(log: Path, *arguments: object) -> Iterator[tuple[str, Events]]:
    """The endpoint in a process of its own: its URL, and what it has logged."""
    words: Sequence[str] = [str(argument) for argument in ("--log", log, *arguments)]
    process = subprocess.Popen(
        [sys.executable, __file__, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        yield process.stdout.readline().strip(), Events(log)
    finally:
        process.stdin.close()
        process.wait(20)
        process.stdout.close()


if __name__ == "__main__":
    main()
