"""The engine openai and what endpoints do to it: reading replies, failures, keys."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from loopback import Handler, serving

from mira.config import Scoring
from mira.config.students import Served
from mira.errors import UserError
from mira.scoring.engine import Decoding, Prompt, Skeleton
from mira.scoring.engines.openai import OpenaiEngine, Token, read_reply
from mira.scoring.engines.served_vllm import ServedVllmEngine
from mira.scoring.tokens import ScoreTokens

KEY = "sk-very-secret-key"
DIGITS = tuple(range(10))
SPLIT = Skeleton(("A1", "A2"), ((11,), (12,)), (10,), ScoreTokens((*DIGITS, 1), 0, 10))
WHOLE = Skeleton(("A1", "A2"), ((11,), (12,)), (10,), ScoreTokens((*DIGITS, 13), None, None))
ENDINGS = ["\n", "0"]
PROMPTS = [Prompt((1, 2, 3), ({"role": "user", "content": f"record {i}"},)) for i in range(4)]


class Tokenizer:
    def decode(self, ids: list[int]) -> str:
        return {10: "\n"}.get(ids[0], str(ids[0]))


def token(text: str, **others: float) -> Token:
    """A token with its probability and those of others, ``_7=0.2``."""
    probabilities = {name.removeprefix("_"): p for name, p in others.items()}
    probabilities.setdefault(text, 1 - sum(probabilities.values()))
    return Token(text, {name: float(np.log(p)) for name, p in probabilities.items()})


def line(slot: str, *score: Token) -> list[Token]:
    return [token(f"[{slot}]"), token(" "), *score, token("\n")]


def test_a_reply_is_read_where_the_student_wrote_its_scores():
    reply = line("A1", token("7", _8=0.25)) + line("A2", token("3"))
    rows, undivided = read_reply(reply, SPLIT, ENDINGS)
    assert rows[0, 7] == pytest.approx(0.75) and rows[0, 8] == pytest.approx(0.25)
    assert rows[1, 3] == pytest.approx(1) and undivided == 0


def test_a_written_ten_is_divided_by_what_the_endpoint_says():
    after = token("0", **{"\n": 0.3})
    rows, undivided = read_reply([*line("A1", token("1", _5=0.2), after)], SPLIT, ENDINGS)
    assert rows[0, 10] == pytest.approx(0.8 * 0.7) and rows[0, 1] == pytest.approx(0.8 * 0.3)
    assert rows[0, 5] == pytest.approx(0.2) and undivided == 0
    assert np.isnan(rows[1]).all()


def test_an_unwritten_one_is_divided_evenly_and_counted():
    rows, undivided = read_reply(line("A1", token("7", _1=0.25)), SPLIT, ENDINGS)
    assert rows[0, 1] == rows[0, 10] == pytest.approx(0.125) and undivided == 1
    assert read_reply(line("A1", token("7", _1=1e-4)), SPLIT, ENDINGS)[1] == 0


def test_ten_as_one_token_needs_no_division():
    rows, undivided = read_reply(line("A1", token("10", _1=0.25)), WHOLE, [])
    assert rows[0, 10] == pytest.approx(0.75) and rows[0, 1] == pytest.approx(0.25)
    assert undivided == 0


@pytest.mark.parametrize(
    "reply",
    [
        [],
        [token("Sure"), token("!")],
        [token("[A1]"), token(" 7")],
        [token("[A1]"), token(" "), token("seven")],
        [token("[A1]"), token(" "), Token("x", {"x": -0.2, "1": -2.0})],
    ],
)
def test_nonsense_is_missing(reply: list[Token]):
    assert np.isnan(read_reply(reply, SPLIT, ENDINGS)[0]).all()


def test_slots_after_a_deviation_are_missing():
    reply = [*line("A1", token("7")), *line("B2", token("3"))]
    rows, _ = read_reply(reply, SPLIT, ENDINGS)
    assert rows[0, 7] == pytest.approx(1) and np.isnan(rows[1]).all()
    not_the_likeliest = [*line("A1", token("7", _8=0.6)), *line("A2", token("3"))]
    rows, _ = read_reply(not_the_likeliest, SPLIT, ENDINGS)
    assert not np.isnan(rows[0]).any() and np.isnan(rows[1]).all()


# --- endpoints ----------------------------------------------------------------------------------


@contextmanager
def endpoint(chat: Handler, models: Handler | None = None) -> Iterator[str]:
    """The base URL of a server in a thread of its own, since engines block theirs."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = serving(chat, models)
    try:
        yield asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result()
    finally:
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def engine(url: str, **retries: Any) -> Iterator[OpenaiEngine]:
    scoring = Scoring(engine="openai", served={"g1": Served(url=url, model="m")}, concurrency=2)
    opened = OpenaiEngine(
        scoring.served["g1"], scoring, Tokenizer(), **{"max_retries": 0} | retries
    )
    try:
        yield opened
    finally:
        opened.close()


def chat_reply(text: str = "hi", tokens: list[Token] | None = None, prompt: int = 3) -> Any:
    choice: dict[str, Any] = {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": text},
    }
    if tokens is not None:
        content = [
            {
                "token": one.text,
                "logprob": one.top[one.text],
                "top_logprobs": [{"token": t, "logprob": p} for t, p in one.top.items()],
            }
            for one in tokens
        ]
        choice["logprobs"] = {"content": content}
    usage = {"prompt_tokens": prompt, "completion_tokens": 2, "total_tokens": prompt + 2}
    return web.json_response(
        {"id": "1", "object": "chat.completion", "created": 0, "model": "m"}
        | {"choices": [choice], "usage": usage}
    )


def error(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message}}, status=status)


def test_requests_carry_messages_and_seeds_and_are_counted():
    seen = []

    async def chat(request: web.Request) -> web.Response:
        seen.append(await request.json())
        return chat_reply(seen[-1]["messages"][0]["content"])

    with endpoint(chat) as url, engine(url) as asked:
        replies = asked.write(PROMPTS, Decoding(9, 0.7, 0.95, (5, 6, 7, 8)))
        assert replies == [f"record {i}" for i in range(4)]
        assert asked.counters().prompt_tokens == 12 and asked.counters().output_tokens == 8
    assert sorted(body["seed"] for body in seen) == [5, 6, 7, 8]
    assert {(body["temperature"], body["max_tokens"]) for body in seen} == {(0.7, 9)}


def test_expected_over_http(caplog: pytest.LogCaptureFixture):
    tokens = line("A1", token("7", _1=0.25)) + line("A2", token("3"))

    async def chat(request: web.Request) -> web.Response:
        body = await request.json()
        assert body["logprobs"] is True and body["top_logprobs"] == 20 and body["temperature"] == 0
        return chat_reply("[A1] 7\n[A2] 3\n", tokens, prompt=4)

    with endpoint(chat) as url, engine(url) as asked:
        found = asked.expected(PROMPTS, SPLIT)
        assert asked.undivided == 4
    assert found[:, 0, 7] == pytest.approx(0.75)
    assert "4 of 8 slots" in caplog.text
    assert "a prompt of 3 tokens as 4" in caplog.text


def test_an_endpoint_without_logprobs_is_told():
    async def chat(request: web.Request) -> web.Response:
        return chat_reply("[A1] 7\n")

    with endpoint(chat) as url, engine(url) as asked, pytest.raises(UserError, match="readout"):
        asked.expected(PROMPTS, SPLIT)


def test_an_endpoint_that_refuses_logprobs_is_told():
    async def chat(request: web.Request) -> web.Response:
        return error(400, "unknown parameter top_logprobs")

    with (
        endpoint(chat) as url,
        engine(url) as asked,
        pytest.raises(UserError, match="top_logprobs"),
    ):
        asked.expected(PROMPTS, SPLIT)


def test_a_refused_record_is_missing_and_the_others_are_not(caplog: pytest.LogCaptureFixture):
    async def chat(request: web.Request) -> web.Response:
        if "record 2" in (await request.text()):
            return error(400, "This model's maximum context length is 10 tokens")
        return chat_reply("ok")

    with endpoint(chat) as url, engine(url) as asked:
        assert asked.write(PROMPTS, Decoding(9)) == ["ok", "ok", None, "ok"]
        assert asked.write(PROMPTS[2:3], Decoding(9)) == [None]
    assert "1 of 4 calls" in caplog.text


def test_passing_failures_are_retried():
    tries = 0

    async def chat(request: web.Request) -> web.Response:
        nonlocal tries
        tries += 1
        if tries == 1:
            return web.Response(status=503, headers={"retry-after-ms": "1"})
        return chat_reply("ok")

    with endpoint(chat) as url, engine(url, max_retries=1) as asked:
        assert asked.write(PROMPTS[:1], Decoding(9)) == ["ok"]
    assert tries == 2


def test_an_endpoint_that_fails_too_often_stops_the_run():
    async def chat(request: web.Request) -> web.Response:
        if "record 0" in (await request.text()):
            return chat_reply("ok")
        return error(500, "out of memory")

    with endpoint(chat) as url, engine(url) as asked, pytest.raises(UserError, match="3 of 4"):
        asked.write(PROMPTS, Decoding(9))


@pytest.mark.parametrize(
    ("status", "said"),
    [(401, "refused the key"), (404, "does not know the model"), (402, "credit")],
)
def test_what_no_call_can_get_past_is_the_users_to_mend(
    status: int, said: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setenv("STUDENT_KEY", KEY)

    async def chat(request: web.Request) -> web.Response:
        assert request.headers["authorization"] == f"Bearer {KEY}"
        return error(status, f"no: {KEY}")

    with endpoint(chat) as url:
        scoring = Scoring(
            engine="openai",
            served={"g1": Served(url=url, model="m")},
            api_key_env="STUDENT_KEY",
        )
        asked = OpenaiEngine(scoring.served["g1"], scoring, Tokenizer(), max_retries=0)
        with pytest.raises(UserError, match=said) as told:
            asked.write(PROMPTS, Decoding(9))
        asked.close()
    assert KEY not in str(told.value) and KEY not in caplog.text


def test_an_endpoint_that_is_down_is_told():
    with engine("http://127.0.0.1:9/v1") as asked, pytest.raises(UserError, match="be reached"):
        asked.write(PROMPTS, Decoding(9))


def test_a_missing_key_and_an_unusable_url_are_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("STUDENT_KEY", raising=False)
    served = Served(url="http://127.0.0.1:9/v1", model="m")
    scoring = Scoring(engine="openai", served={"g1": served}, api_key_env="STUDENT_KEY")
    with pytest.raises(UserError, match="STUDENT_KEY"):
        OpenaiEngine(served, scoring, Tokenizer())
    plain = Scoring(engine="openai", served={"g1": served})
    for url in ("localhost:8000/v1", "http://[", "http://user:pass@host/v1"):
        with pytest.raises(UserError, match=r"scoring\.served") as told:
            OpenaiEngine(Served(url=url, model="m"), plain, Tokenizer())
        assert "pass" not in str(told.value).replace("password", "")


@pytest.mark.parametrize(
    ("listed", "said"),
    [([{"id": "other", "max_model_len": 10}], "not 'm'"), ([{"id": "m"}], "no vLLM server")],
)
def test_what_is_no_vllm_server_is_told(listed: list[dict[str, Any]], said: str):
    async def chat(request: web.Request) -> web.Response:
        return error(404, "no")

    async def models(request: web.Request) -> web.Response:
        data = [{"object": "model", "created": 0, "owned_by": "me"} | model for model in listed]
        return web.json_response({"object": "list", "data": data})

    with endpoint(chat, models) as url:
        scoring = Scoring(engine="vllm", served={"g1": Served(url=url, model="m")})
        with pytest.raises(UserError, match=said):
            ServedVllmEngine(scoring.served["g1"], scoring, max_retries=0)
