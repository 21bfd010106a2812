import asyncio
import json
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

BENCH = Path(__file__).parents[2] / "bench"
BODY = b'{"messages": []}'
CHAT = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
PLAIN = CHAT + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
CHUNKED = (
    CHAT
    + b"Transfer-Encoding: chunked\r\n\r\n"
    + b"a;note=1\r\n%b\r\n6\r\n%b\r\n0\r\n\r\n" % (BODY[:10], BODY[10:])
)
WITH_TRAILER = CHUNKED.removesuffix(b"\r\n") + b"X-Sum: 1\r\n\r\n"
BODILESS = b"GET /stats HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def bench(monkeypatch):
    """The modules of bench/, which import one another by their bare names."""
    monkeypatch.syspath_prepend(BENCH)
    import alternatives
    import client
    import local_endpoint
    import measure

    class Modules:
        pass

    Modules.alternatives, Modules.client = alternatives, client
    Modules.local_endpoint, Modules.measure = local_endpoint, measure
    return Modules


def run(script, *arguments):
    """Run a benchmark; the JSON object on its last line."""
    command = [sys.executable, str(BENCH / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("request_", [PLAIN, CHUNKED, WITH_TRAILER, BODILESS])
def test_a_request_is_complete_at_its_last_byte(bench, request_):
    split = bench.local_endpoint.split_request
    assert all(split(request_[:end]) is None for end in range(len(request_)))
    head, rest = split(request_ + b"POST /next")
    assert head.startswith((b"post /v1/chat/completions", b"get /stats")) and rest == b"POST /next"


def test_a_length_that_is_none_is_refused(bench):
    for head in (b"Content-Length: many\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"):
        with pytest.raises(ValueError):
            bench.local_endpoint.split_request(CHAT + head)


def test_the_endpoint_serves_real_clients(bench):
    async def chunks():
        yield BODY[:5]
        yield BODY[5:]

    async def ask(url):
        connector = aiohttp.TCPConnector(limit=1)
        async with aiohttp.ClientSession(connector=connector) as session:
            texts = []
            for data, headers in (
                (BODY, {}),
                (chunks(), {}),
                (BODY, {"connection": "close"}),
                (BODY, {}),
            ):
                path = f"{url}/v1/chat/completions"
                async with session.post(path, data=data, headers=headers) as response:
                    completion = await response.json()
                texts.append(completion["choices"][0]["message"]["content"])
            async with session.get(f"{url}/v1/models") as models:
                assert models.status == 200
            async with session.get(f"{url}/nothing") as nothing:
                assert nothing.status == 404
        return texts

    with bench.measure.running_endpoint(latency_ms=1) as url:
        assert asyncio.run(ask(url)) == [bench.local_endpoint.REPLY] * 4
        stats = bench.measure.endpoint_stats(url)
    assert (stats["questions"], stats["most_in_flight"]) == (4, 1)


def test_requests_in_one_piece_are_answered_one_by_one(bench):
    async def ask(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(PLAIN + CHUNKED + b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n")
        received = await reader.read()
        writer.close()
        return received

    with bench.measure.running_endpoint(latency_ms=0) as url:
        received = asyncio.run(ask(int(url.rpartition(":")[2])))
        assert bench.measure.endpoint_stats(url)["questions"] == 2
    assert b"400 Bad Request" in received


def test_every_contender_at_hand_gets_every_reply(bench, tmp_path):
    names = [
        name
        for name, contender in bench.client.CONTENDERS.items()
        if contender.package is None or bench.alternatives.is_at_hand(contender.package)
    ]
    report = run(
        "client.py",
        *("--records", 30, "--rounds", 1, "--concurrency", 8, "--latency-ms", 1),
        *("--folder", tmp_path, "--contenders", *names),
    )
    assert {"mira", "mira_with_cap", "aiohttp"} <= set(names) == set(report["contenders"])
    for contender in report["contenders"].values():
        assert len(contender["all_replies_per_s"]) == 1 and contender["replies_per_s"] > 0
    assert report["ratios"]["mira/aiohttp"] > 0 and report["missing"] == {}
    assert report["claim_holds"] is None
    assert list(tmp_path.iterdir()) == []


def test_a_contender_that_cannot_be_installed_is_said_to_be_missing(bench, monkeypatch):
    def refuse(package):
        raise RuntimeError("no such package")

    monkeypatch.setattr(bench.client, "python_with", refuse)
    interpreters, missing = bench.client.find_interpreters(["mira", "datatrove"])
    assert interpreters == {"mira": sys.executable}
    assert missing == {"datatrove": "no such package"}


def test_a_contender_that_skips_questions_is_found_out(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(bench.client, "run_json", lambda *_: {"seconds": 1.0})
    with (
        bench.measure.running_endpoint(latency_ms=0) as url,
        pytest.raises(RuntimeError, match="0 questions, not 12"),
    ):
        bench.client.run_once("mira", sys.executable, url, 10, 2, tmp_path)


def test_ratios_compare_within_rounds(bench):
    results = {
        "mira": [{"rate": 100.0}, {"rate": 30.0}, {"rate": 90.0}],
        "aiohttp": [{"rate": 100.0}, {"rate": 40.0}, {"rate": 100.0}],
        "openai": [{"rate": 40.0}, {"rate": 15.0}, {"rate": 30.0}],
    }
    quotients = bench.client.ratios(results)
    assert (quotients["mira/aiohttp"], quotients["mira/openai"]) == (0.9, 2.5)
    assert quotients["mira/datatrove"] is None and quotients["mira_with_cap/openai"] is None
    assert bench.client.holds(quotients) is True
    assert bench.client.holds({**quotients, "mira/aiohttp": 0.74}) is False
    assert bench.client.holds({**quotients, "mira/openai": None}) is None


def test_a_restart_gets_every_reply_from_every_store(tmp_path):
    report = run("journal_restart.py", "--records", 300, "--rounds", 1, "--folder", tmp_path)
    assert set(report["cases"]) == {"mira_dense", "mira_shuffled", "mira_sparse", "sqlite"}
    for case in report["cases"].values():
        assert case["seconds"] >= case["open_seconds"] > 0
    assert all(size > 0 for size in report["bytes"].values())
    assert report["claim_holds"] is None
    assert list(tmp_path.iterdir()) == []


def test_a_failing_script_says_why(bench):
    with pytest.raises(RuntimeError, match="KeyError"):
        bench.measure.run_json(sys.executable, "ask_aiohttp.py", {})
