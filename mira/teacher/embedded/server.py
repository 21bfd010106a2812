"""The embedded teacher as an HTTP server on loopback, and a context manager that runs it.

The server ends on SIGTERM, on SIGINT, and within a second after the process that started it has
gone (it polls its parent's process id). Judging is CPU-bound and runs inside the request.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from mira.errors import UserError
from mira.io import read_json, write_json
from mira.seeds import stable_hash
from mira.teacher.embedded.judge import VERSION, JudgeSettings, reply
from mira.teacher.embedded.request import RequestError, read_request

MODEL = "mira-embedded-teacher"
FINGERPRINT = f"{MODEL}-v{VERSION}"
START_SECONDS = 30.0
_LARGEST_REQUEST = 64 * 2**20
_POLL_SECONDS = 0.5
_SETTINGS = web.AppKey("settings", JudgeSettings)


def build_app(settings: JudgeSettings) -> web.Application:
    """The application: /health, /v1/models and /v1/chat/completions."""
    app = web.Application(client_max_size=_LARGEST_REQUEST)
    app[_SETTINGS] = settings
    app.router.add_get("/health", _health)
    app.router.add_get("/v1/models", _models)
    app.router.add_post("/v1/chat/completions", _chat)
    return app


async def _health(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok", "model": MODEL, "version": VERSION})


async def _models(_: web.Request) -> web.Response:
    model = {"id": MODEL, "object": "model", "created": 0, "owned_by": "mira"}
    return web.json_response({"object": "list", "data": [model]})


async def _chat(request: web.Request) -> web.Response:
    try:
        body = _read_body(await request.read())
        messages = _read_messages(body)
        judging = read_request(messages.get("system", ""), messages["user"])
    except RequestError as error:
        return _refuse(str(error))
    answer = reply(judging, request.app[_SETTINGS], body.get("seed"))
    return web.json_response(_completion(body, messages, answer))


def _read_body(raw: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise RequestError(f"the request is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise RequestError("the request must be a JSON object")
    if body.get("stream"):
        raise RequestError("streaming is not supported: leave out 'stream'")
    if body.get("n", 1) not in (1, None):
        raise RequestError("'n' above 1 is not supported: ask again with another 'seed'")
    if not isinstance(body.get("model"), str):
        raise RequestError(f"'model' must be a string, such as '{MODEL}'")
    if not isinstance(body.get("seed"), int | None):
        raise RequestError("'seed' must be a whole number")
    return body


def _read_messages(body: dict[str, Any]) -> dict[str, str]:
    """System and user message by role; the last of each counts."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise RequestError("'messages' must be a list with a user message")
    found: dict[str, str] = {}
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("content"), str):
            raise RequestError("each message must be an object with 'role' and a string 'content'")
        found[str(message.get("role"))] = message["content"]
    if "user" not in found:
        raise RequestError("'messages' has no user message")
    return found


def _refuse(message: str) -> web.Response:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return web.json_response({"error": error}, status=400)


def _completion(body: dict[str, Any], messages: dict[str, str], answer: str) -> dict[str, Any]:
    prompt_tokens = sum(_count_tokens(content) for content in messages.values())
    completion_tokens = _count_tokens(answer)
    return {
        "id": f"chatcmpl-{stable_hash(*messages.values(), body.get('seed')):016x}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": MODEL,
        "system_fingerprint": FINGERPRINT,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": answer},
                "finish_reason": "stop",
                "logprobs": None,
            }
        ],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        },
    }


def _count_tokens(text: str) -> int:
    return -(-len(text) // 4)


async def serve(settings: JudgeSettings, port: int, ready_file: Path, parent: int) -> None:
    """Listen on 127.0.0.1 until a signal comes or the parent process has gone.

    ``port`` 0 takes any free one; ``ready_file`` gets ``{"base_url": ...}`` once listening.
    """
    runner = web.AppRunner(build_app(settings), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        host, bound = runner.addresses[0][:2]
        write_json({"base_url": f"http://{host}:{bound}/v1", "pid": os.getpid()}, ready_file)
        await _until_stopped(parent)
    finally:
        await runner.cleanup()


async def _until_stopped(parent: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    while os.getppid() == parent and not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _POLL_SECONDS)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of ``python -m mira.teacher.embedded``."""
    parser = argparse.ArgumentParser(prog="mira.teacher.embedded", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes any free port")
    parser.add_argument("--ready-file", type=Path, required=True, help="gets the base URL as JSON")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--noise", type=float, default=JudgeSettings.noise)
    parser.add_argument("--halo", type=float, default=JudgeSettings.halo)
    parser.add_argument("--parent-pid", type=int, default=None, help="default: the real parent")
    options = parser.parse_args(argv)
    settings = JudgeSettings(options.seed, options.noise, options.halo)
    parent = os.getppid() if options.parent_pid is None else options.parent_pid
    asyncio.run(serve(settings, options.port, options.ready_file, parent))
    return 0


@contextlib.contextmanager
def embedded_teacher(
    seed: int, log_path: str | Path, *, noise: float = 0.35, halo: float = 0.6
) -> Iterator[str]:
    """Run the server as a child process; yields its base URL and always stops it.

    Raises UserError with the end of the log if the server is not ready within 30 seconds.
    """
    log = Path(log_path)
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, log.open("ab") as output:
        ready = Path(folder) / "ready.json"
        options = {"--ready-file": ready, "--seed": seed, "--noise": noise, "--halo": halo}
        options |= {"--port": 0, "--parent-pid": os.getpid()}
        words = [str(word) for option in options.items() for word in option]
        command = [sys.executable, "-m", "mira.teacher.embedded", *words]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            yield _wait_until_ready(process, ready, log)
        finally:
            _stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], ready: Path, log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            tail = "\n".join(log.read_text("utf-8", "replace").splitlines()[-20:])
            raise UserError(
                f"The embedded teacher did not start within {START_SECONDS:.0f} s"
                f" (exit status {process.poll()}). The end of {log}:\n{tail}\n"
                "Expected a server on a free loopback port; fix what the log names and run again."
            )
        time.sleep(0.02)
    return str(read_json(ready)["base_url"])


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
