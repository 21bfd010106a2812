import asyncio
import json
import socket
import struct
import traceback
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import orjson
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from loopback import completion, read_request, serving, talking

from mira.errors import UserError
from mira.teacher import endpoint as endpoint_module
from mira.teacher.endpoint import CallError, Completion, Endpoint, read_completion, retry_after
from mira.teacher.pricing import Usage
from mira.teacher.settings import TeacherSettings

KEY = "s3cret-k3y"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv("MIRA_TEST_KEY", KEY)
    return {"api_key_env": "MIRA_TEST_KEY"}


def settings_for(url, **changes):
    return TeacherSettings(base_urls=(url,), **{"model": "m", "timeout_s": 20.0, **changes})


@asynccontextmanager
async def opened(url, heed=lambda headers: None, **changes):
    endpoint = Endpoint(url, settings_for(url, **changes), heed)
    try:
        yield endpoint
    finally:
        await endpoint.close()


def answering(status=200, body=b"", headers=None):
    async def chat(request):
        await request.read()
        return web.Response(status=status, body=body, headers=headers)

    return chat


def call(server, calls=1, **changes):
    """The last of some calls to a server: its completion, or the exception it raised."""

    async def main():
        async with server as url, opened(url, **changes) as endpoint:
            for number in range(1, calls + 1):
                try:
                    completion = await endpoint.complete(b"{}")
                except (CallError, UserError) as error:
                    if number == calls:
                        return error
            return completion

    return asyncio.run(main())


def failed(server, **changes):
    """Reason, retry and billed of a call that fails."""
    error = call(server, **changes)
    assert isinstance(error, CallError), error
    return error.reason, error.retry, error.billed


# --- what is sent -------------------------------------------------------------------------------


def test_the_body_is_sent_as_it_is_and_the_key_only_if_there_is_one(key):
    seen = []

    async def chat(request):
        seen.append((await request.read(), request.headers, request.path_qs))
        return web.json_response(completion())

    async def main():
        async with serving(chat) as url:
            async with opened(url) as endpoint:
                await endpoint.complete(b'{"x": "\xe4\xb8\xad"}')
            async with opened(url + "/?api-version=7", **key) as endpoint:
                assert endpoint.name == url
                await endpoint.complete(b"{}")

    asyncio.run(main())
    [(body, without, _), (_, with_key, path)] = seen
    assert body == b'{"x": "\xe4\xb8\xad"}' and without["content-type"] == "application/json"
    assert "authorization" not in without and with_key["authorization"] == f"Bearer {KEY}"
    assert path == "/v1/chat/completions?api-version=7"


def test_calls_in_a_row_share_a_connection():
    ports = set()

    async def chat(request):
        ports.add(request.transport.get_extra_info("peername")[1])
        return web.json_response(completion())

    assert isinstance(call(serving(chat), calls=5), Completion) and len(ports) == 1


def test_the_headers_of_all_answers_are_passed_on():
    heeded = []

    async def chat(request):
        return web.json_response(
            completion(), status=500 if heeded else 200, headers={"X-RateLimit-Limit-Tokens": "7"}
        )

    async def main():
        async with serving(chat) as url, opened(url, heeded.append) as endpoint:
            await endpoint.complete(b"{}")
            with suppress(CallError):
                await endpoint.complete(b"{}")

    asyncio.run(main())
    assert [headers.get("x-ratelimit-limit-tokens") for headers in heeded] == ["7", "7"]


def test_the_environment_names_the_proxy_and_netrc_is_left_alone(monkeypatch, tmp_path):
    asked = []

    async def proxy(reader, writer):
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        body = orjson.dumps(completion("by proxy"))
        writer.write(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()

    netrc = tmp_path / "netrc"
    netrc.write_text("machine teacher.invalid login me password hidden\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    async def main():
        async with talking(proxy) as url:
            proxy_url = url.removesuffix("/v1").replace("//", "//user:word@")
            monkeypatch.setenv("http_proxy", proxy_url)
            async with opened("http://teacher.invalid/v1") as endpoint:
                assert (await endpoint.complete(b"{}")).text == "by proxy"
            monkeypatch.setenv("no_proxy", "teacher.invalid")
            async with opened("http://teacher.invalid/v1") as endpoint:
                with pytest.raises(CallError, match="connection"):
                    await endpoint.complete(b"{}")

    asyncio.run(main())
    [head] = asked
    assert head.startswith(b"POST http://teacher.invalid/v1/chat/completions")
    assert b"\r\nproxy-authorization: basic " in head.lower()
    assert b"\r\nauthorization" not in head.lower()


@pytest.mark.parametrize("proxy", ["socks5://h:1", "http://h:port", "http://"])
def test_a_proxy_that_cannot_be_used_is_said(monkeypatch, proxy):
    monkeypatch.setenv("https_proxy", proxy)
    monkeypatch.delenv("NO_PROXY", raising=False)

    async def main():
        with pytest.raises(UserError, match="HTTPS_PROXY"):
            Endpoint("https://h/v1", settings_for("https://h/v1"))

    asyncio.run(main())


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("api.example.org/v1", "base_urls: 'api.example.org/v1'.*https://"),
        ("ftp://h/v1", "base_urls: 'ftp"),
        ("http://h:99999/v1", "base_urls: 'http"),
        ("", "base_urls: ''"),
        ("https://me:hidden@h/v1", "base_urls.* h holds credentials.*api_key_env"),
        ("htps://me:hidden@h/v1", r"base_urls: 'htps://\*\*\*@h/v1'"),
    ],
)
def test_urls_that_cannot_be_used_are_said(url, words):
    async def main():
        with pytest.raises(UserError, match=words) as caught:
            Endpoint(url, settings_for(url))
        assert "hidden" not in str(caught.value)

    asyncio.run(main())


@pytest.mark.parametrize("broken", ["two\nlines", "ключ", "nul\x01"])
def test_a_key_that_cannot_be_sent_is_said_and_not_shown(monkeypatch, broken):
    monkeypatch.setenv("MIRA_TEST_KEY", broken)

    async def main():
        with pytest.raises(UserError, match="MIRA_TEST_KEY") as caught:
            Endpoint("http://h/v1", settings_for("http://h/v1", api_key_env="MIRA_TEST_KEY"))
        assert broken not in str(caught.value)

    asyncio.run(main())


# --- errors that the endpoint answers with ------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, ("refused_by_endpoint", False, False)),
        (413, ("refused_by_endpoint", False, False)),
        (422, ("refused_by_endpoint", False, False)),
        (408, ("server_error", True, False)),
        (409, ("server_error", True, False)),
        (425, ("server_error", True, False)),
        (429, ("rate_limited", True, False)),
        (500, ("server_error", True, False)),
        (502, ("server_error", True, False)),
        (503, ("server_error", True, False)),
        (529, ("server_error", True, False)),
        (504, ("server_error", True, True)),
        (524, ("server_error", True, True)),
        (304, ("refused_by_endpoint", False, False)),
    ],
)
def test_every_error_has_its_meaning(status, expected):
    assert failed(serving(answering(status, b'{"error": {"message": "said"}}'))) == expected


def test_an_error_says_how_long_to_wait():
    for status in (429, 503):
        error = call(serving(answering(status, headers={"retry-after-ms": "1500"})))
        assert error.wait_s == 1.5
    assert call(serving(answering(429))).wait_s is None


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, b'{"error": {"message": "no"}}', r"refused the key \(401\): check .*MIRA_TEST_KEY"),
        (403, b"", r"refused the key \(403\).*said: Forbidden"),
        (404, b'{"detail": "gone"}', "'m' or the path .*teacher.base_urls.*/v1.*said: gone"),
        (402, b'{"message": "pay"}', "no credit left.*said: pay"),
        (429, b'{"error": {"message": "pay", "code": "insufficient_quota"}}', "no credit"),
        (429, b'{"error": {"message": "pay", "type": "insufficient_quota"}}', "no credit"),
    ],
)
def test_errors_that_no_call_can_avoid_are_the_users(key, status, body, words):
    error = call(serving(answering(status, body)), **key)
    assert isinstance(error, UserError)
    with pytest.raises(UserError, match=words):
        raise error
    assert "http://127.0.0.1:" in str(error)


def test_without_a_key_the_user_is_told_where_it_goes():
    assert "set teacher.api_key_env" in str(call(serving(answering(401))))


def test_403_is_about_the_record_once_the_key_has_been_accepted():
    async def chat(request):
        chat.calls += 1
        return web.json_response(completion(), status=200 if chat.calls == 1 else 403)

    chat.calls = 0
    assert failed(serving(chat), calls=2) == ("refused_by_endpoint", False, False)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": {"message": "too\\nlong", "code": 7}}', "too long"),
        (b'{"error": "plain"}', "plain"),
        (b'{"object": "error", "message": "top level"}', "top level"),
        (b'{"detail": "detail"}', "detail"),
        (b'{"detail": [{"loc": ["body"], "msg": "odd"}]}', '[{"loc":["body"],"msg":"odd"}]'),
        (b'[{"error": {"message": "in a list"}}]', "in a list"),
        (b'{"error": {"status": "BUSY"}}', '{"status":"BUSY"}'),
        (b"  busy,\n try later ", "busy, try later"),
        (b"<html><head><title>Bad &amp; ugly</title><body>x</body></html>", "Bad & ugly"),
        (b"<!DOCTYPE html><style>p {}</style><p>No <b>room</b></p>", "No room"),
        (b"caf\xe9", "caf�"),
        (b"{}", "{}"),
        (b"", "Bad Request"),
        (b"x" * 5_000, "x" * 295),
        (b"<html>" + b"<p>word</p>" * 9_000, ("word " * 59)),
    ],
)
def test_what_an_error_says_is_found_and_kept_short(body, said):
    error = call(serving(answering(400, body)))
    assert error.detail == f"400: {said}"[:300] and len(error.detail) <= 300
    assert str(error) == f"refused_by_endpoint: {error.detail}"


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 402, 429, 500, 504])
@pytest.mark.parametrize(
    "body",
    [
        b'{"error": {"message": "key %s is bad"}}',
        b'{"choices": [], "key": "%s"}',
        b"<html><title>%s</title>",
        b"%s",
        # Cut in half where messages are shortened.
        *(b"x" * length + b"%s" for length in (238, 290, 295)),
    ],
)
def test_the_key_is_never_shown(key, status, body):
    async def chat(request):
        sent = request.headers["authorization"].removeprefix("Bearer ").encode()
        headers = {"location": f"http://elsewhere/{sent.decode()}?x={sent.decode()}"}
        return web.Response(status=status, body=body % sent, headers=headers)

    error = call(serving(chat), **key)
    shown = "".join([str(error), repr(error), *traceback.format_exception(error)])
    assert isinstance(error, CallError | UserError)
    assert "s3cret" not in shown and "k3y" not in shown and "x" * 200 + "s" not in shown


def test_a_redirect_is_not_followed_and_explained(key):
    elsewhere = []

    async def other(request):
        elsewhere.append(request)
        return web.json_response(completion())

    async def main():
        async with serving(other) as other_url:
            location = {"location": f"{other_url}/chat/completions?token=hidden"}
            async with (
                serving(answering(307, headers=location)) as url,
                opened(url, **key) as endpoint,
            ):
                with pytest.raises(CallError, match=f"{other_url}.*teacher.base_urls") as caught:
                    await endpoint.complete(b"{}")
                return caught.value

    error = asyncio.run(main())
    assert (error.reason, error.retry, error.billed) == ("refused_by_endpoint", False, False)
    assert not elsewhere and "hidden" not in str(error)


# --- when there is no answer, or half of one ----------------------------------------------------


def test_a_connection_that_cannot_be_opened_is_not_billed():
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"

    async def main(url):
        async with opened(url) as endpoint:
            with pytest.raises(CallError) as caught:
                await endpoint.complete(b"{}")
        return caught.value

    for nowhere in (url, "http://teacher.invalid/v1", url.replace("http:", "https:")):
        error = asyncio.run(main(nowhere))
        assert (error.reason, error.retry, error.billed) == ("connection", True, False)


def test_a_connection_that_takes_too_long_to_open_is_not_billed():
    """A listener that accepts nothing: with its queue full, the next one waits for its turn."""

    async def main():
        with socket.socket() as listener, socket.socket() as first:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            first.connect(listener.getsockname())
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
            async with opened(url, timeout_s=1.0) as endpoint:
                with pytest.raises(CallError) as caught:
                    await endpoint.complete(b"{}")
            return caught.value

    error = asyncio.run(main())
    assert (error.reason, error.retry, error.billed) == ("timeout", True, False)


async def drop(reader, writer):
    await read_request(reader)


async def reset(reader, writer):
    await read_request(reader)
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


async def truncate(reader, writer):
    await read_request(reader)
    writer.write(HEAD + b'content-length: 1000\r\n\r\n{"choices": [')
    await writer.drain()


async def talk_nonsense(reader, writer):
    await read_request(reader)
    writer.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
    await writer.drain()


async def break_the_compression(reader, writer):
    await read_request(reader)
    writer.write(HEAD + b"content-encoding: gzip\r\ncontent-length: 4\r\n\r\nnope")
    await writer.drain()


async def drop_the_second_call(reader, writer):
    """What a server does that closes an idle connection just as the next call comes."""
    body = orjson.dumps(completion())
    await read_request(reader)
    writer.write(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
    await read_request(reader)


@pytest.mark.parametrize(
    ("talk", "calls"),
    [
        (drop, 1),
        (reset, 1),
        (truncate, 1),
        (talk_nonsense, 1),
        (break_the_compression, 1),
        (drop_the_second_call, 2),
    ],
)
def test_a_lost_connection_may_have_been_billed(talk, calls):
    assert failed(talking(talk), calls=calls) == ("connection", True, True)


async def stay_silent(reader, writer):
    await read_request(reader)
    await reader.read()


async def dribble(reader, writer):
    await read_request(reader)
    writer.write(HEAD + b"content-length: 100000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("talk", [stay_silent, dribble])
def test_a_reply_that_takes_too_long_may_have_been_billed(talk):
    error = call(talking(talk), timeout_s=0.5)
    assert (error.reason, error.retry, error.billed) == ("timeout", True, True)
    assert error.detail == "no reply within 0.5 s"


def test_an_error_counts_by_its_status_when_its_body_never_comes():
    async def headers_only(reader, writer):
        await read_request(reader)
        writer.write(b"HTTP/1.1 503 Busy\r\ncontent-length: 10\r\nretry-after: 3\r\n\r\n")
        await reader.read()

    error = call(talking(headers_only), timeout_s=0.5)
    assert (error.reason, error.billed, error.wait_s) == ("server_error", False, 3)
    assert error.detail == "503: Busy"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "nothing"),
        (b'{"choices": [{"mess', '{"choices": [{"mess'),
        (b'{"error": {"message": "overloaded", "code": 502}}', "overloaded"),
        (b"<html><title>Log in</title></html>", "Log in"),
        (b"[]", "[]"),
        (b"null", "null"),
        (b'{"choices": [null]}', '{"choices":[null]}'),
        (b'{"choices": [{"message": {"content": 7}}]}', "7"),
        (b'{"choices": [{"message": {"content": [{"type": "text"}]}}]}', "KeyError"),
        (b"[" * 100_000, "[[["),
    ],
)
def test_a_success_that_is_no_completion_may_have_been_billed(body, said):
    error = call(serving(answering(200, body)))
    assert (error.reason, error.retry, error.billed) == ("malformed_response", True, True)
    assert said in error.detail and len(error.detail) <= 300


def test_a_cancelled_call_leaves_the_endpoint_usable():
    async def chat(request):
        if (await request.read()) == b"slow":
            await asyncio.sleep(60)
        return web.json_response(completion())

    async def main():
        async with serving(chat) as url, opened(url, concurrency=1) as endpoint:
            for _ in range(5):
                task = asyncio.create_task(endpoint.complete(b"slow"))
                await asyncio.sleep(0.02)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            return await endpoint.complete(b"{}")

    assert asyncio.run(main()).text == "hi"


# --- probes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "alive"), [(200, True), (401, True), (404, True), (307, True), (500, False)]
)
def test_whoever_answers_a_probe_with_less_than_500_is_alive(key, status, alive):
    keys = set()

    async def models(request):
        keys.add(request.headers["authorization"])
        return web.Response(status=status)

    async def main():
        async with serving(answering(), models) as url, opened(url, **key) as endpoint:
            return await endpoint.probe()

    assert asyncio.run(main()) is alive and keys == {f"Bearer {KEY}"}


def test_whoever_does_not_answer_a_probe_is_not_alive(monkeypatch):
    monkeypatch.setattr(endpoint_module, "_LONGEST_PROBE_S", 0.2)

    async def hang(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        await reader.read()

    async def main():
        for talk in (hang, drop):
            async with talking(talk) as url, opened(url) as endpoint:
                assert not await endpoint.probe()
        async with opened(url) as endpoint:
            assert not await endpoint.probe(), "nobody listens there any more"

    asyncio.run(main())


# --- reading completions ------------------------------------------------------------------------


def read(content, finish="stop", **rest):
    choice = {"message": {"role": "assistant", "content": content}, "finish_reason": finish}
    return read_completion(json.dumps({"choices": [choice], **rest}).encode())


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("8/10 — 中文", "8/10 — 中文"),
        (None, ""),
        ("", ""),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab"),
        ([{"type": "thinking", "thinking": [{"text": "x"}]}, {"type": "text", "text": "y"}], "y"),
        ([], ""),
    ],
)
def test_content_in_all_its_forms(content, text):
    assert read(content).text == text


def test_other_parts_of_the_message_are_not_its_text():
    def reply(message):
        return read_completion(orjson.dumps({"choices": [{"message": message}]}))

    assert reply({"reasoning_content": "hmm", "content": None}) == Completion("", None, None)
    assert reply({"reasoning_content": "hmm"}).text == ""
    assert reply({"content": None, "refusal": "I can't."}).text == "I can't."


@pytest.mark.parametrize("finish", ["stop", "length", "content_filter", None, "tool_calls"])
def test_the_finish_reason_is_passed_on(finish):
    assert read("x", finish).finish_reason == finish


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (rb'{"choices": [{"message": {"content": "half \ud83d a pair"}}]}', "half ? a pair"),
        (b'{"choices": [{"message": {"content": "a \xff byte"}}]}', "a � byte"),
        (b'{"choices": [{"message": {"content": "x"}, "logprobs": NaN}]}', "x"),
        (b'\xef\xbb\xbf \n{"choices": [{"message": {"content": "x"}}]}', "x"),
    ],
)
def test_a_reply_in_nearly_json_is_not_thrown_away(body, text):
    assert read_completion(body).text == text
    assert read_completion(body).text.encode()


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 2}, Usage(9, 0, 2, 0)),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 5,
                "total_tokens": 14,
                "prompt_tokens_details": {"cached_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            Usage(9, 4, 5, 3),
        ),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 2,
                "prompt_tokens_details": None,
                "completion_tokens_details": {"reasoning_tokens": None},
            },
            Usage(9, 0, 2, 0),
        ),
        ({"prompt_tokens": 9, "completion_tokens": 2, "cached_tokens": 8}, Usage(9, 8, 2)),
        (
            {"prompt_tokens": 9, "completion_tokens": 2, "prompt_cache_hit_tokens": 7},
            Usage(9, 7, 2),
        ),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 2,
                "total_tokens": 111,
                "completion_tokens_details": {"reasoning_tokens": 100},
            },
            Usage(9, 0, 102, 100),
        ),
        ({"prompt_tokens": 9, "completion_tokens": 2, "cached_tokens": 99}, Usage(9, 9, 2)),
        (None, None),
        ({}, None),
        ("many", None),
        ([], None),
        ({"prompt_tokens": 9}, None),
        ({"prompt_tokens": 10**30, "completion_tokens": 2}, None),
        ({"prompt_tokens": 9, "completion_tokens": None}, None),
        ({"prompt_tokens": "some", "completion_tokens": 2}, None),
        ({"prompt_tokens": 0, "completion_tokens": 0}, None),
        ({"prompt_tokens": 9, "completion_tokens": -2}, None),
        ({"prompt_tokens": 9, "completion_tokens": 2, "cached_tokens": -1}, None),
        ({"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": 3}, None),
    ],
)
def test_usage_is_read_wherever_it_is_and_never_made_up(usage, expected):
    assert read("x", usage=usage).usage == expected


def test_infinite_usage_is_unreadable():
    body = (
        b'{"choices": [{"message": {}}], "usage": {"prompt_tokens": 1e999, "completion_tokens":1}}'
    )
    assert read_completion(body).usage is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(
    st.binary(max_size=50)
    | _JSON.map(lambda value: json.dumps(value).encode())
    | st.fixed_dictionaries(
        {"choices": st.lists(st.fixed_dictionaries({"message": _JSON, "finish_reason": _JSON}))},
        optional={"usage": _JSON, "error": _JSON},
    ).map(lambda value: json.dumps(value).encode())
)
def test_whatever_comes_is_a_completion_or_a_malformed_response(body):
    try:
        found = read_completion(body)
    except CallError as error:
        assert (error.reason, error.billed) == ("malformed_response", True)
        assert len(error.detail) <= 300
    else:
        assert isinstance(found.text, str) and found.text.encode() is not None
        assert found.finish_reason is None or isinstance(found.finish_reason, str)


# --- how long to wait ---------------------------------------------------------------------------


def test_retry_after_in_all_its_forms():
    later = datetime.now(UTC) + timedelta(seconds=3000)
    for date in (format_datetime(later, usegmt=True), format_datetime(later)):
        assert 2000 < retry_after({"retry-after": date}) <= 3000
    past = format_datetime(datetime(2020, 1, 1, tzinfo=UTC), usegmt=True)
    assert retry_after({"retry-after": past}) == 0
    assert retry_after({"retry-after": "1.5"}) == 1.5
    assert retry_after({"retry-after-ms": "250", "retry-after": "9"}) == 0.25
    assert retry_after({"retry-after-ms": "soon", "retry-after": "9"}) == 9
    assert retry_after({"retry-after": "-5"}) == 0
    for nonsense in ("soon", "", "nan", "inf", "Mon, 99 Foo 99999 00:00:00 GMT"):
        assert retry_after({"retry-after": nonsense}) is None
    assert retry_after({}) is None
