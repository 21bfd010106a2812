import asyncio
import io
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import orjson
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from mira.config import Cap, Prices, Teacher
from mira.errors import UserError
from mira.teacher.client import CallFailure, Request, ask_all
from mira.teacher.endpoint import CallError, read_completion, retry_after
from mira.teacher.journal import Journal
from mira.teacher.pricing import Charge, Usage, cost, worst_charge
from mira.teacher.progress import Progress
from mira.teacher.settings import TeacherSettings

USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 10,
    "prompt_tokens_details": {"cached_tokens": 60},
}


def completion(text):
    choice = {"index": 0, "finish_reason": "stop", "message": {"content": text}}
    return {"choices": [choice], "usage": USAGE}


class Server:
    """A local endpoint; ``answer(number, body)`` gives (status, headers, JSON)."""

    def __init__(self, answer):
        self.answer = answer
        self.bodies = []
        self.keys = set()
        self.now = self.most = 0

    async def chat(self, request):
        body = await request.json()
        self.bodies.append(body)
        self.keys.add(request.headers.get("authorization"))
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.01)
        self.now -= 1
        status, headers, reply = self.answer(len(self.bodies), body)
        return web.json_response(reply, status=status, headers=headers)


def echo(number, body):
    return 200, {}, completion("re: " + body["messages"][0]["content"])


def ask(tmp_path, contents, answer=echo, handle=None, servers=1, journal=None, **changes):
    """Ask the contents of local servers; returns (results by ticket, counts, servers)."""
    results = {}

    def keep(request, reply):
        results[request.ticket] = reply

    async def main():
        running = [Server(answer) for _ in range(servers)]
        urls, runners = [], []
        for server in running:
            app = web.Application()
            app.router.add_post("/v1/chat/completions", server.chat)
            runners.append(web.AppRunner(app))
            await runners[-1].setup()
            site = web.TCPSite(runners[-1], "127.0.0.1", 0)
            await site.start()
            urls.append(f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/v1")
        settings = {"model": "m", "backoff_s": 0.01, "timeout_s": 5, **changes}
        settings = TeacherSettings(**{"base_urls": tuple(urls), **settings})
        requests = [
            Request(i, [{"role": "user", "content": text}]) for i, text in enumerate(contents)
        ]
        try:
            progress = Progress("test", len(requests))
            counts = await ask_all(
                iter(requests),
                settings,
                Journal(tmp_path) if journal is None else journal,
                progress,
                handle or keep,
            )
        finally:
            for runner in runners:
                await runner.cleanup()
        return results, counts, running

    return asyncio.run(main())


def test_replies_are_asked_once_and_then_come_from_the_journal(tmp_path):
    contents = [f"q{i}" for i in range(40)]
    results, counts, [server] = ask(tmp_path, contents, concurrency=8)
    assert {i: r.text for i, r in results.items()} == {i: f"re: q{i}" for i in range(40)}
    assert (counts.paid, counts.from_journal, counts.failed) == (40, 0, 0)
    assert counts.usage == Usage(4000, 2400, 400)
    assert server.most <= 8
    again, counts, [server] = ask(tmp_path, [*contents, "new"])
    assert (counts.paid, counts.from_journal, len(server.bodies)) == (1, 40, 1)
    assert again[3].text == results[3].text and again[3].usage == results[3].usage
    assert again[3].from_journal and not again[40].from_journal


def test_equal_questions_are_paid_once(tmp_path):
    results, counts, [server] = ask(tmp_path, ["same"] * 10)
    assert len(results) == 10 and len(server.bodies) == 1
    assert (counts.paid, counts.from_journal) == (1, 9)


def test_settings_that_decide_replies_are_sent_and_are_part_of_the_key(tmp_path):
    _, _, [server] = ask(tmp_path, ["q"], temperature=0.5, extra_body={"thinking": "off"})
    sent = {k: v for k, v in server.bodies[0].items() if k != "messages"}
    assert sent == {
        "model": "m",
        "temperature": 0.5,
        "top_p": 1.0,
        "max_tokens": 4096,
        "thinking": "off",
    }
    for changes in ({"temperature": 0.6}, {"model": "n"}, {"variant": {"seed": 1}}):
        _, counts, [server] = ask(tmp_path, ["q"], **changes)
        assert counts.paid == 1 and "variant" not in server.bodies[0]
    _, counts, _ = ask(tmp_path, ["q"], temperature=0.6, concurrency=3, timeout_s=4)
    assert counts.paid == 0


def test_a_handler_may_ask_further_questions(tmp_path):
    seen = []

    def handle(request, reply):
        seen.append((request.sample, reply.text))
        more = [{"role": "user", "content": "more"}]
        return Request(request.ticket, more, sample=1) if request.sample == 0 else None

    ask(tmp_path, ["q"], handle=handle)
    assert seen == [(0, "re: q"), (1, "re: more")]


@pytest.mark.parametrize("status", [429, 500, 503, 408])
def test_passing_errors_are_tried_again(tmp_path, status):
    def flaky(number, body):
        return (status, {}, {"error": {"message": "busy"}}) if number <= 2 else echo(number, body)

    results, counts, _ = ask(tmp_path, ["q"], flaky)
    assert results[0].text == "re: q" and counts.retried == 2 and counts.paid == 1


def test_lasting_errors_end_as_failures_of_their_record_alone(tmp_path):
    def picky(number, body):
        if body["messages"][0]["content"] == "bad":
            return 400, {}, {"error": {"message": "too long"}}
        if body["messages"][0]["content"] == "down":
            return 500, {}, {"error": {"message": "down"}}
        if body["messages"][0]["content"] == "odd":
            return 200, {}, {"choices": []}
        return echo(number, body)

    results, counts, _ = ask(tmp_path, ["good", "bad", "down", "odd"], picky, max_retries=1)
    assert results[0].text == "re: good"
    assert [results[i].reason for i in (1, 2, 3)] == [
        "refused_by_endpoint",
        "server_error",
        "malformed_response",
    ]
    assert all(isinstance(results[i], CallFailure) for i in (1, 2, 3))
    assert "too long" in results[1].detail
    assert (counts.paid, counts.failed, counts.retried) == (1, 3, 2)


def test_a_sleeping_retry_holds_no_slot(tmp_path):
    def first_waits(number, body):
        if number == 1:
            return 429, {"retry-after": "0.4"}, {"error": {"message": "wait"}}
        return echo(number, body)

    order = []
    ask(
        tmp_path,
        [f"q{i}" for i in range(5)],
        first_waits,
        handle=lambda request, reply: order.append(request.ticket),
        concurrency=1,
    )
    assert order == [1, 2, 3, 4, 0]


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (401, {"message": "bad key s3cret"}, "MIRA_TEST_KEY"),
        (403, {"message": "no"}, "MIRA_TEST_KEY"),
        (404, {"message": "no such model"}, "'m'"),
        (429, {"message": "pay", "code": "insufficient_quota"}, "credit"),
    ],
)
def test_errors_that_no_retry_can_mend_stop_with_a_message(
    tmp_path, monkeypatch, status, error, words
):
    monkeypatch.setenv("MIRA_TEST_KEY", "s3cret")
    with pytest.raises(UserError, match=words) as caught:
        ask(
            tmp_path,
            ["a", "b", "c"],
            lambda *_: (status, {}, {"error": error}),
            api_key_env="MIRA_TEST_KEY",
        )
    assert "s3cret" not in str(caught.value)


def test_the_key_comes_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("MIRA_TEST_KEY", raising=False)
    with pytest.raises(UserError, match="MIRA_TEST_KEY"):
        ask(tmp_path, ["q"], api_key_env="MIRA_TEST_KEY")
    monkeypatch.setenv("MIRA_TEST_KEY", "s3cret")
    _, _, [server] = ask(tmp_path, ["q"], api_key_env="MIRA_TEST_KEY")
    assert server.keys == {"Bearer s3cret"}
    assert all("s3cret" not in str(entry) for entry in Journal(tmp_path).iter_entries())


def test_nobody_listening_is_a_counted_failure(tmp_path):
    results, counts, _ = ask(tmp_path, ["q"], base_urls=("http://127.0.0.1:9/v1",), max_retries=1)
    assert results[0].reason in ("connection", "timeout") and counts.failed == 1


def test_several_endpoints_share_the_work(tmp_path):
    _, _, servers = ask(tmp_path, [f"q{i}" for i in range(40)], servers=2, concurrency=8)
    assert all(len(server.bodies) >= 15 for server in servers)


def test_retry_after_in_all_its_forms():
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert retry_after({"retry-after-ms": "250", "retry-after": "9"}) == 0.25
    assert retry_after({"retry-after": "1.5"}) == 1.5
    assert 25 < retry_after({"retry-after": later}) <= 30
    assert retry_after({"retry-after": "-5"}) == 0
    assert retry_after({}) is None and retry_after({"retry-after": "soon"}) is None


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"null", b'{"error": {"message": "x"}}', b'{"choices": [null]}']
)
def test_a_response_that_is_no_completion_is_an_error_worth_a_retry(body):
    with pytest.raises(CallError) as caught:
        read_completion(body)
    assert caught.value.retry


def test_an_empty_reply_is_a_reply():
    body = orjson.dumps({"choices": [{"message": {"content": None}, "finish_reason": "length"}]})
    assert read_completion(body).text == "" and read_completion(body).usage is None


def test_cost_counts_cached_prompt_and_thinking_tokens_at_their_own_prices():
    prices = Prices(input=2.0, cached_input=0.5, output=8.0)
    usage = Usage(1_000_000, 400_000, 250_000, 100_000)
    assert cost(usage, prices) == pytest.approx(1.2 + 0.2 + 2.0)
    apart = Prices(input=2.0, cached_input=0.5, output=8.0, thinking=1.0)
    assert cost(usage, apart) == pytest.approx(1.2 + 0.2 + 1.2 + 0.1)


@given(
    st.integers(0, 2_000),
    st.floats(0, 1),
    st.integers(0, 500),
    st.floats(0, 1),
    *(st.floats(0, 50) for _ in range(3)),
    st.none() | st.floats(0, 50),
)
def test_no_call_within_its_limits_costs_more_than_was_set_aside(
    prompt, cached, completion, thinking, price_in, price_cached, price_out, price_thinking
):
    prices = Prices(
        input=price_in, cached_input=price_cached, output=price_out, thinking=price_thinking
    )
    usage = Usage(prompt, int(prompt * cached), completion, int(completion * thinking))
    most = worst_charge(2_000, 500, prices)
    assert cost(usage, prices) <= most.money * (1 + 1e-9)
    assert usage.total_tokens <= most.tokens


PRICES = Prices(input=1_000.0, cached_input=1_000.0, output=10_000.0)
"""A call of 100 prompt and 10 reply tokens costs 0.1 + 0.1."""


def test_the_cap_stops_cleanly_says_what_is_left_and_resumes_when_raised(tmp_path):
    cap = {"max_tokens": 64, "prices": PRICES, "payer": "run", "concurrency": 4}
    journal = Journal(tmp_path, payer="run", cap=Cap(money=4.0))
    with pytest.raises(UserError, match=r"cap .* of 50 records are finished.*raise teacher.cap"):
        ask(tmp_path, [f"q{i}" for i in range(50)], journal=journal, **cap)
    paid = len(journal)
    assert 8 <= paid <= 20
    spending = Journal(tmp_path, payer="run").spending()
    assert spending.settled.money == pytest.approx(0.2 * paid) and spending.total.money <= 4.0
    assert spending.calls_in_flight == spending.lost_calls == 0
    raised = Journal(tmp_path, payer="run", cap=Cap(money=20.0))
    _, counts, [server] = ask(tmp_path, [f"q{i}" for i in range(50)], journal=raised, **cap)
    assert (counts.from_journal, counts.paid, len(server.bodies)) == (paid, 50 - paid, 50 - paid)


def test_calls_in_flight_are_kept_when_something_stops_the_others(tmp_path):
    def handle(request, reply):
        raise UserError("enough")

    with pytest.raises(UserError, match="enough"):
        ask(tmp_path, [f"q{i}" for i in range(200)], handle=handle, concurrency=8)
    journal = Journal(tmp_path)
    assert 1 <= len(journal) < 100
    assert journal.spending("").lost_calls == journal.spending("").calls_in_flight == 0


def test_what_may_have_been_billed_stays_counted(tmp_path):
    def malformed_once(number, body):
        return (200, {}, {"choices": []}) if number == 1 else echo(number, body)

    _, counts, _ = ask(
        tmp_path, ["q"], malformed_once, prices=PRICES, max_tokens=64, payer="run",
        journal=Journal(tmp_path, payer="run"),
    )  # fmt: skip
    spending = Journal(tmp_path, payer="run").spending()
    assert (counts.lost, spending.lost_calls, spending.settled_calls) == (1, 1, 1)
    assert spending.lost == counts.lost_charge and spending.lost.money > 0.64


def test_a_reply_without_token_counts_is_charged_at_its_most_and_counted(tmp_path):
    def silent(number, body):
        return 200, {}, {"choices": completion("hi")["choices"]}

    results, counts, _ = ask(tmp_path, ["q"], silent, prices=PRICES, max_tokens=64)
    assert counts.unmetered == 1 and counts.charge.money > 0.64
    assert results[0].charge == counts.charge


def test_progress_writes_a_line_per_interval_and_no_faster():
    now, lines = [0.0], []
    progress = Progress("labelling g1", 100, lines.append, 5.0, clock=lambda: now[0])
    for _ in range(40):
        progress.finish_one(asked=False)
    for _ in range(20):
        now[0] += 0.5
        progress.add_paid(Charge(0.5, 1000))
        progress.finish_one(asked=True)
    start, paid = "labelling g1: {} of {} records, 2.0/s, ", "tokens and {:.4f} money paid, "
    assert lines == [
        start.format(50, 100) + "10,000 " + paid.format(5) + "25 s left",
        start.format(60, 100) + "20,000 " + paid.format(10) + "20 s left",
    ]
    progress.total = 60
    progress.close()
    assert lines[2:] == [start.format(60, 60) + "20,000 " + paid.format(10) + "done in 10 s"]


def test_progress_on_a_terminal_renews_one_line():
    now, terminal = [0.0], io.StringIO()
    progress = Progress("g1", 10, lambda line: None, 100.0, clock=lambda: now[0], terminal=terminal)
    for _ in range(6):
        now[0] += 0.25
        progress.finish_one(asked=True)
    progress.close()
    shown = terminal.getvalue().split("\r\x1b[2K")
    assert [line[:11] for line in shown[1:]] == ["g1: 2 of 10", "g1: 4 of 10", "g1: 6 of 10", ""]


def test_settings_from_the_config_section():
    section = Teacher(kind="embedded", concurrency=5, cap={"money": 3})
    settings = TeacherSettings.from_config(
        section, "run", base_urls=["http://127.0.0.1:1/v1"], variant={"seed": 3}
    )
    assert settings.base_urls == ("http://127.0.0.1:1/v1",) and settings.concurrency == 5
    assert (settings.payer, settings.cap.money) == ("run", 3)
    assert settings.identity()["variant"] == {"seed": 3}
    endpoint = Teacher(
        kind="endpoint",
        base_urls=["http://127.0.0.1:1/v1"],
        model="m",
        extra_body={"max_completion_tokens": 9000},
    )
    assert "variant" not in TeacherSettings.from_config(endpoint).identity()
    assert TeacherSettings.from_config(endpoint).max_reply_tokens() == 9000
