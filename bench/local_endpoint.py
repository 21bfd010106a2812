"""An OpenAI-compatible chat endpoint that answers after a fixed time and costs next to nothing.

    python bench/local_endpoint.py --latency-ms 20

prints its URL and serves until it is ended. It must never be what a benchmark measures: so no
framework, one response made beforehand, and no look into a request beyond where it ends.
``GET /stats`` tells how many questions came, how many at once, and the process's CPU seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time

HEAD_END = b"\r\n\r\n"
DIMENSIONS = (
    "factual accuracy", "clarity of writing", "depth of reasoning", "use of evidence",
    "completeness", "formatting", "self-containedness", "originality",
    "difficulty", "freedom from noise", "usefulness of examples", "teaching value",
)  # fmt: skip
REPLY = "\n".join(
    [
        *(
            f"[A{number}] {name}: {3 + number % 6}/10 — the record shows this in its second half"
            for number, name in enumerate(DIMENSIONS, start=1)
        ),
        "overall: 61",
        "training_recommendation: keep",
        "domain_tag: applied statistics",
        "brief: A worked explanation with one gap in its argument.",
    ]
)


def as_response(status: str, body: bytes) -> bytes:
    """An HTTP/1.1 response with a JSON body."""
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return head.encode() + HEAD_END + body


def chat_completion(text: str) -> dict:
    """A chat completion with one choice, as the API sends it."""
    return {
        "id": "chatcmpl-local",
        "object": "chat.completion",
        "created": 1_760_000_000,
        "model": "local",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 550, "completion_tokens": 260, "total_tokens": 810},
    }


ANSWER = as_response("200 OK", json.dumps(chat_completion(REPLY)).encode())
MODELS = as_response("200 OK", b'{"object":"list","data":[{"id":"local","object":"model"}]}')
UNKNOWN = as_response("404 Not Found", b'{"error":{"message":"no such path"}}')
MALFORMED = as_response("400 Bad Request", b'{"error":{"message":"malformed request"}}')


class Endpoint:
    """What all connections share."""

    def __init__(self, latency_s: float):
        self.latency_s = latency_s
        self.loop = asyncio.get_running_loop()
        self.questions = 0
        self.in_flight = 0
        self.most_in_flight = 0

    def begin(self) -> None:
        """A question has come."""
        self.questions += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)

    def stats(self) -> bytes:
        """The counts since the start, as a response."""
        counts = {
            "questions": self.questions,
            "most_in_flight": self.most_in_flight,
            "cpu_s": time.process_time(),
        }
        return as_response("200 OK", json.dumps(counts).encode())


class Connection(asyncio.Protocol):
    """One keep-alive connection; requests may come in any pieces, or several at once."""

    def __init__(self, endpoint: Endpoint):
        self._endpoint = endpoint
        self._received = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember whom to answer."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Start answering every request that is complete."""
        received = self._received + data if self._received else data
        try:
            while received and (request := split_request(received)) is not None:
                head, received = request
                self._serve(head)
        except ValueError:
            received = b""
            self._send(MALFORMED, closes=True)
        self._received = received

    def _serve(self, head: bytes) -> None:
        closes = b"\nconnection: close" in head
        if head.startswith(b"post ") and b"/chat/completions http" in head:
            self._endpoint.begin()
            self._endpoint.loop.call_later(self._endpoint.latency_s, self._answer, closes)
        elif head.startswith(b"get /stats "):
            self._send(self._endpoint.stats(), closes)
        elif head.startswith(b"get ") and b"/models http" in head:
            self._send(MODELS, closes)
        else:
            self._send(UNKNOWN, closes)

    def _answer(self, closes: bool) -> None:
        self._endpoint.in_flight -= 1
        self._send(ANSWER, closes)

    def _send(self, response: bytes, closes: bool) -> None:
        if self._transport.is_closing():
            return
        if closes:
            response = response.replace(b"\r\n", b"\r\nconnection: close\r\n", 1)
        self._transport.write(response)
        if closes:
            self._transport.close()


def split_request(received: bytes) -> tuple[bytes, bytes] | None:
    """The first request's head in lower case and what follows its body; None if it is incomplete.

    Raises ValueError where the length of a body cannot be read.
    """
    head_end = received.find(HEAD_END)
    if head_end < 0:
        return None
    head = received[:head_end].lower()
    body = head_end + len(HEAD_END)
    if b"\ntransfer-encoding: chunked" in head:
        end = _end_of_chunks(received, body)
    else:
        end = body + _content_length(head)
    if end is None or end > len(received):
        return None
    return head, received[end:]


def _content_length(head: bytes) -> int:
    _, found, value = head.partition(b"\ncontent-length:")
    return int(value.partition(b"\r\n")[0]) if found else 0


def _end_of_chunks(received: bytes, at: int) -> int | None:
    """Where a chunked body that starts at ``at`` ends; None if its last chunk is not there."""
    while (line_end := received.find(b"\r\n", at)) >= 0:
        size = int(received[at:line_end].partition(b";")[0], 16)
        if size == 0:
            return _end_of_trailer(received, line_end)
        at = line_end + 2 + size + 2
    return None


def _end_of_trailer(received: bytes, line_end: int) -> int | None:
    end = received.find(HEAD_END, line_end)
    return None if end < 0 else end + len(HEAD_END)


async def serve(latency_s: float, port: int) -> None:
    """Serve on a local port (0: a free one), printing the URL first."""
    endpoint = Endpoint(latency_s)
    server = await endpoint.loop.create_server(
        lambda: Connection(endpoint), "127.0.0.1", port, backlog=1024
    )
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def main() -> None:
    """Serve as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--latency-ms", type=float, default=20.0)
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.latency_ms / 1000, arguments.port))


if __name__ == "__main__":
    main()
