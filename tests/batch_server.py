"""A local provider that speaks the batch API: files, batches, results; and can fail at each step.

Requests are *executed*, that is paid, when their batch completes; ``executed`` counts them.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

_ENDED = ("completed", "failed", "expired", "cancelled")


@dataclass
class Stored:
    """A batch as the server keeps it."""

    id: str
    input_file_id: str
    metadata: dict[str, str]
    window: str
    lines: list[dict[str, Any]]
    created_at: int
    status: str = "validating"
    looks: int = 0
    completed: int = 0
    failed: int = 0
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: list[dict[str, Any]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        counts = {"completed": self.completed, "failed": self.failed, "total": len(self.lines)}
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": "/v1/chat/completions",
            "input_file_id": self.input_file_id,
            "completion_window": self.window,
            "status": self.status,
            "created_at": self.created_at,
            "metadata": self.metadata,
            "output_file_id": self.output_file_id,
            "error_file_id": self.error_file_id,
            "errors": {"object": "list", "data": self.errors} if self.errors else None,
            "request_counts": counts,
        }


class BatchServer:
    """Files and batches in memory, and live calls too.

    ``reply(content)`` answers a request by its last message. ``fault(content, visit)`` names what
    happens to a request the ``visit``-th time it is in a batch that ends: None, a status such as
    "429", "missing", "malformed", "duplicate", "unknown", "no_usage", "odd" or "expired".
    ``batch_fault(number)`` names what happens to the ``number``-th batch: None, "expire" (half of
    it is done), "cancel", "fail" (validation), "line" (validation, its first line) or "queue_full".
    ``create_faults`` and ``look_faults`` are statuses answered, one after the other, to requests
    that make and retrieve batches; a negative one is answered after the batch was made.
    Batches complete at the ``looks``-th look, once ``go`` is set; all downloads but the first
    ``free_downloads`` stop half-way until ``send_rest`` is set.
    """

    def __init__(self, reply: Callable[[str], str]):
        self.reply = reply
        self.fault: Callable[[str, int], str | None] = lambda content, visit: None
        self.batch_fault: Callable[[int], str | None] = lambda number: None
        self.create_faults: list[int] = []
        self.look_faults: list[int] = []
        self.looks = 2
        self.page = 100
        self.listed = True
        self.go = asyncio.Event()
        self.go.set()
        self.send_rest = asyncio.Event()
        self.send_rest.set()
        self.executed: Counter[str] = Counter()
        self.live_calls = 0
        self.batches: list[Stored] = []
        self.most_at_once = 0
        self.downloads_begun = 0
        self.free_downloads = 0
        self.requests = 0
        self.keys: set[str | None] = set()
        self._files: dict[str, bytes] = {}
        self._visits: Counter[str] = Counter()

    def app(self) -> web.Application:
        app = web.Application(client_max_size=2**28, middlewares=[self._count])
        app.add_routes(
            [
                web.post("/v1/chat/completions", self._chat),
                web.post("/v1/files", self._upload),
                web.get("/v1/files/{id}/content", self._content),
                web.post("/v1/batches", self._create),
                web.get("/v1/batches", self._list),
                web.get("/v1/batches/{id}", self._retrieve),
                web.post("/v1/batches/{id}/cancel", self._cancel),
            ]
        )
        return app

    @property
    def looked_at(self) -> int:
        """How many batches their owner has looked at."""
        return sum(batch.looks > 0 for batch in self.batches)

    def forget_files(self) -> None:
        """Lose all results, as providers do after some weeks."""
        self._files.clear()

    @web.middleware
    async def _count(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.requests += 1
        return await handler(request)

    # --- the protocol ----------------------------------------------------------------------

    async def _chat(self, request: web.Request) -> web.Response:
        self.live_calls += 1
        return web.json_response(self._completion(await request.json()))

    async def _upload(self, request: web.Request) -> web.Response:
        self.keys.add(request.headers.get("authorization"))
        form = await request.post()
        assert form["purpose"] == "batch"
        content = form["file"].file.read()
        file_id = self._keep(content)
        return web.json_response(
            {
                "id": file_id,
                "object": "file",
                "bytes": len(content),
                "created_at": int(time.time()),
                "filename": form["file"].filename,
                "purpose": "batch",
                "status": "processed",
            }
        )

    async def _content(self, request: web.Request) -> web.StreamResponse:
        content = self._files.get(request.match_info["id"])
        if content is None:
            return _error(404, "No such File object")
        self.downloads_begun += 1
        response = web.StreamResponse(headers={"content-length": str(len(content))})
        await response.prepare(request)
        half = len(content) // 2
        await response.write(content[:half])
        if self.downloads_begun > self.free_downloads:
            await self.send_rest.wait()
        await response.write(content[half:])
        await response.write_eof()
        return response

    async def _create(self, request: web.Request) -> web.Response:
        fault = self.create_faults.pop(0) if self.create_faults else 0
        if fault > 0:
            return _error(fault, "not now")
        asked = await request.json()
        content = self._files[asked["input_file_id"]]
        lines = [orjson.loads(line) for line in content.splitlines()]
        assert asked["endpoint"] == "/v1/chat/completions"
        assert all(line["url"] == asked["endpoint"] and line["method"] == "POST" for line in lines)
        assert len({line["custom_id"] for line in lines}) == len(lines)
        batch = Stored(
            f"batch_{len(self.batches) + 1}",
            asked["input_file_id"],
            asked.get("metadata") or {},
            asked["completion_window"],
            lines,
            int(time.time()),
        )
        self.batches.append(batch)
        running = sum(b.status not in _ENDED for b in self.batches)
        self.most_at_once = max(self.most_at_once, running)
        return _error(-fault, "lost") if fault else web.json_response(batch.as_json())

    async def _list(self, request: web.Request) -> web.Response:
        if not self.listed:
            return _error(404, "no such path")
        newest_first = self.batches[::-1]
        ids = [batch.id for batch in newest_first]
        start = ids.index(request.query["after"]) + 1 if "after" in request.query else 0
        end = start + min(int(request.query.get("limit", 20)), self.page)
        data = [batch.as_json() for batch in newest_first[start:end]]
        return web.json_response(
            {
                "object": "list",
                "data": data,
                "first_id": data[0]["id"] if data else None,
                "last_id": data[-1]["id"] if data else None,
                "has_more": end < len(ids),
            }
        )

    async def _retrieve(self, request: web.Request) -> web.Response:
        if self.look_faults:
            return _error(self.look_faults.pop(0), "not now")
        batch = next((b for b in self.batches if b.id == request.match_info["id"]), None)
        if batch is None:
            return _error(404, "No batch found")
        batch.looks += 1
        if batch.status == "validating":
            batch.status = "in_progress"
        if batch.status == "in_progress" and batch.looks >= self.looks and self.go.is_set():
            self._end(batch)
        return web.json_response(batch.as_json())

    async def _cancel(self, request: web.Request) -> web.Response:
        batch = next(b for b in self.batches if b.id == request.match_info["id"])
        self._end(batch, "cancel")
        return web.json_response(batch.as_json())

    # --- the work --------------------------------------------------------------------------

    def _end(self, batch: Stored, fault: str | None = None) -> None:
        number = self.batches.index(batch) + 1
        fault = fault or self.batch_fault(number)
        if fault in ("fail", "line", "queue_full"):
            batch.status = "failed"
            code = {"queue_full": "token_limit_exceeded"}.get(fault, "invalid_request")
            line = 1 if fault == "line" else None
            batch.errors = [{"code": code, "message": f"{fault} it is", "line": line}]
            return
        done = len(batch.lines) // 2 if fault in ("expire", "cancel") else len(batch.lines)
        output: list[bytes] = []
        errors: list[bytes] = []
        for position, line in enumerate(batch.lines):
            self._run(line, output, errors, executed=position < done)
        random.Random(number).shuffle(output)
        batch.status = {"expire": "expired", "cancel": "cancelled"}.get(fault or "", "completed")
        batch.completed, batch.failed = len(output), len(errors)
        batch.output_file_id = self._keep(b"\n".join([*output, b""])) if output else None
        batch.error_file_id = self._keep(b"\n".join([*errors, b""])) if errors else None

    def _run(
        self, line: dict[str, Any], output: list[bytes], errors: list[bytes], executed: bool
    ) -> None:
        key, content = line["custom_id"], line["body"]["messages"][-1]["content"]
        self._visits[content] += 1
        fault = self.fault(content, self._visits[content])
        if not executed or fault == "expired":
            errors.append(_result(key, None, {"code": "batch_expired", "message": "too late"}))
        elif fault is not None and fault.isdigit():
            body = {"error": {"message": f"fault {fault}"}}
            errors.append(_result(key, {"status_code": int(fault), "body": body}, None))
        else:
            self.executed[key] += 1
            body = self._completion(line["body"])
            if fault == "no_usage":
                del body["usage"]
            if fault == "odd":
                body["choices"] = []
            written = _result(key, {"status_code": 200, "body": body}, None)
            if fault == "malformed":
                written = written[: len(written) // 2]
            if fault == "unknown":
                output.append(_result("never-asked", {"status_code": 200, "body": body}, None))
            output.extend([written] * {"missing": 0, "duplicate": 2}.get(fault or "", 1))

    def _completion(self, body: dict[str, Any]) -> dict[str, Any]:
        content = body["messages"][-1]["content"]
        message = {"role": "assistant", "content": self.reply(content)}
        return {
            "object": "chat.completion",
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {"prompt_tokens": len(content), "completion_tokens": 100},
        }

    def _keep(self, content: bytes) -> str:
        file_id = f"file_{len(self._files) + 1}"
        self._files[file_id] = content
        return file_id


@asynccontextmanager
async def serving(server: BatchServer, port: int = 0):
    """Serve on loopback; yields the base URL."""
    runner = web.AppRunner(server.app(), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    try:
        yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/v1"
    finally:
        await runner.cleanup()


def _result(key: str, response: dict[str, Any] | None, error: dict[str, Any] | None) -> bytes:
    row = {"id": f"batch_req_{key}", "custom_id": key, "response": response, "error": error}
    return orjson.dumps(row)


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message}}, status=status)
