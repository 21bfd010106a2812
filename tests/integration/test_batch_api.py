"""The provider's batch API against a local server that speaks it, its faults, and the bill."""

import asyncio
import logging
import re

import orjson
import pytest
from batch_asking import (
    ANSWERS,
    LINE_FAULTS,
    PRICES,
    QUESTIONS,
    ask_at,
    ask_of,
    ask_same_place,
    echo,
    files,
    message,
    most_of,
    texts,
)
from batch_server import BatchServer, serving

from mira.config import Batch, Cap
from mira.errors import UserError
from mira.teacher.batch import ask_in_batches
from mira.teacher.client import CallFailure, Request, ask_all
from mira.teacher.journal import Journal
from mira.teacher.pricing import Charge, Usage


def test_replies_come_in_batches_and_are_the_same_whatever_order_they_come_in(tmp_path):
    server = BatchServer(echo)
    results, counts, journal = ask_of(server, tmp_path, [*QUESTIONS, QUESTIONS[0]])
    assert texts(results) == {**ANSWERS, 60: ANSWERS[0]}
    assert [len(batch.lines) for batch in server.batches] == [25, 25, 10]
    assert all(batch.window == "24h" for batch in server.batches)
    assert (counts.paid, counts.from_journal, counts.failed, counts.retried) == (60, 1, 0, 0)
    assert not results[0].from_journal and results[60].from_journal
    assert counts.usage == Usage(sum(map(len, QUESTIONS)), 0, 6000)
    assert set(server.executed.values()) == {1} and set(server.executed) == {
        reply.key for reply in results.values()
    }
    assert journal.spending().in_flight == Charge()
    assert files(tmp_path) == {".done": 3}


def test_what_is_sent_is_what_a_live_call_sends(tmp_path):
    server = BatchServer(echo)
    ask_of(server, tmp_path, ["q"], extra_body={"thinking": "off"}, variant={"seed": 1})
    [line] = server.batches[0].lines
    assert line["body"] == {
        "model": "m",
        "messages": message("q"),
        "temperature": 0.0,
        "top_p": 1.0,
        "max_tokens": 4096,
        "thinking": "off",
    }


def test_a_batch_is_never_larger_than_the_provider_takes(tmp_path):
    server = BatchServer(echo)
    batch = Batch(poll_s=0.02, max_requests=10, max_bytes=1000)
    contents = [f"{i} " + "x" * 200 for i in range(5)]
    ask_of(server, tmp_path, contents, batch=batch)
    assert [len(batch.lines) for batch in server.batches] == [2, 2, 1]


@pytest.mark.parametrize("first", ["live", "batch"])
def test_live_and_batch_find_each_others_replies(tmp_path, first):
    server = BatchServer(echo)
    ways = {"live": ask_all, "batch": ask_in_batches}
    second = "batch" if first == "live" else "live"
    paid, counts, _ = ask_of(server, tmp_path, QUESTIONS, ask=ways[first], mode=first)
    assert counts.paid == 60
    paid_again = (server.live_calls, len(server.executed))
    found, counts, _ = ask_of(server, tmp_path, QUESTIONS, ask=ways[second], mode=second)
    assert (counts.paid, counts.from_journal) == (0, 60)
    assert (server.live_calls, len(server.executed)) == paid_again
    assert texts(found) == texts(paid) == ANSWERS
    assert {r.usage for r in found.values()} == {r.usage for r in paid.values()}


def test_further_questions_of_the_handler_go_into_later_batches(tmp_path):
    seen = []

    def handle(request, reply):
        seen.append((request.ticket, request.sample, reply.text))
        again = [*request.messages, *message("more")]
        return Request(request.ticket, again, sample=1) if request.sample == 0 else None

    server = BatchServer(echo)
    _, counts, _ = ask_of(server, tmp_path, ["a", "b"], handle=handle)
    assert seen == [(0, 0, "re: a"), (1, 0, "re: b"), (0, 1, "re: more"), (1, 1, "re: more")]
    assert [len(batch.lines) for batch in server.batches] == [2, 2] and counts.paid == 4


# --- faults --------------------------------------------------------------------------------


def test_faults_of_lines_cost_further_batches_and_change_no_reply(tmp_path):
    server = BatchServer(echo)
    kind = {content: LINE_FAULTS[i % len(LINE_FAULTS)] for i, content in enumerate(QUESTIONS)}
    server.fault = lambda content, visit: kind[content] if visit <= 2 else None
    results, counts, journal = ask_of(server, tmp_path, QUESTIONS)
    assert texts(results) == ANSWERS
    asked_again = sum(fault not in ("duplicate", "unknown") for fault in kind.values())
    assert (counts.paid, counts.failed, counts.retried) == (60, 0, 2 * asked_again)
    # Executed and billed, but with no usable result: counted as lost, at the most they may cost.
    useless = sum(fault in ("missing", "malformed", "odd") for fault in kind.values())
    assert counts.lost == 2 * useless == sum(server.executed.values()) - 60
    assert journal.spending().lost == counts.lost_charge
    assert journal.spending().settled == counts.charge


def test_lasting_faults_of_lines_end_as_failures_with_their_reasons(tmp_path):
    server = BatchServer(echo)
    reasons = {
        "429": "rate_limited",
        "500": "server_error",
        "400": "refused_by_endpoint",
        "missing": "missing_result",
        "malformed": "missing_result",
        "odd": "malformed_response",
        "expired": "batch_expired",
    }
    server.fault = lambda content, visit: content if content in reasons else None
    results, counts, _ = ask_of(server, tmp_path, ["good", *reasons], max_retries=1)
    assert results[0].text == "re: good"
    failures = [results[i] for i in range(1, len(results))]
    assert all(isinstance(failure, CallFailure) for failure in failures)
    assert [failure.reason for failure in failures] == list(reasons.values())
    assert (counts.paid, counts.failed, counts.retried) == (1, 7, 6)
    assert len(server.batches) == 2 and "fault 400" in failures[2].detail


def test_a_reply_without_token_counts_is_charged_at_its_most(tmp_path):
    server = BatchServer(echo)
    server.fault = lambda content, visit: "no_usage"
    results, counts, journal = ask_of(server, tmp_path, ["q"])
    assert results[0].text == "re: q" and counts.unmetered == 1
    body = orjson.dumps(server.batches[0].lines[0]["body"])
    assert journal.spending().settled.tokens == len(body) + 4096
    assert journal.get(results[0].key)["metered"] is False


def test_what_an_expired_batch_did_not_reach_is_asked_again(tmp_path):
    server = BatchServer(echo)
    server.batch_fault = lambda number: "expire" if number == 1 else None
    results, counts, journal = ask_of(server, tmp_path, QUESTIONS, max_requests=60)
    assert texts(results) == ANSWERS
    assert [len(batch.lines) for batch in server.batches] == [60, 30]
    assert set(server.executed.values()) == {1} and counts.lost == 0
    assert journal.spending().lost == Charge()


def test_a_batch_that_is_expired_as_a_whole_is_submitted_anew(tmp_path):
    server = BatchServer(echo)
    server.fault = lambda content, visit: "expired" if visit <= 2 else None
    results, counts, _ = ask_of(server, tmp_path, QUESTIONS[:5])
    assert texts(results) == {i: ANSWERS[i] for i in range(5)}
    assert len(server.batches) == 3 and counts.retried == 10
    assert len({batch.metadata["mira"] for batch in server.batches}) == 3


def test_lines_that_the_provider_finds_invalid_fail_alone(tmp_path):
    server = BatchServer(echo)
    server.batch_fault = lambda number: "line" if number == 1 else None
    results, counts, journal = ask_of(server, tmp_path, ["bad", "good"])
    assert results[0] == CallFailure("refused_by_endpoint", "line it is")
    assert results[1].text == "re: good"
    assert (counts.failed, counts.paid) == (1, 1)
    assert journal.spending().total == counts.charge


def test_batches_that_keep_failing_end_as_failures_and_cost_nothing(tmp_path, caplog):
    server = BatchServer(echo)
    server.batch_fault = lambda number: "fail"
    results, _, journal = ask_of(server, tmp_path, ["a", "b"], max_retries=2)
    assert [results[i].reason for i in (0, 1)] == ["batch_failed"] * 2
    assert "fail it is" in results[0].detail and "fail it is" in caplog.text
    assert len(server.batches) == 3 and not server.executed
    assert journal.spending().total == Charge()


def test_a_full_queue_is_waited_for_with_smaller_batches(tmp_path):
    server = BatchServer(echo)
    server.batch_fault = lambda number: (
        "queue_full" if len(server.batches[number - 1].lines) > 8 else None
    )
    results, counts, _ = ask_of(server, tmp_path, QUESTIONS, max_requests=60, max_retries=0)
    assert texts(results) == ANSWERS and counts.failed == 0
    assert set(server.executed.values()) == {1}
    assert [len(batch.lines) for batch in server.batches][:2] == [60, 30]


def test_a_full_queue_holds_back_batches_while_others_are_in_it(tmp_path):
    server = BatchServer(echo)
    server.batch_fault = lambda number: "queue_full" if number == 3 else None
    results, _, _ = ask_of(server, tmp_path, QUESTIONS[:40], max_requests=10)
    assert len(results) == 40 and set(server.executed.values()) == {1}
    assert {len(batch.lines) for batch in server.batches} <= {10, 5}


def test_a_cancelled_batch_stops_the_stage_and_the_next_start_asks_for_the_rest(tmp_path):
    server = BatchServer(echo)
    server.batch_fault = lambda number: "cancel" if number == 1 else None
    with pytest.raises(UserError, match="batch_1 was cancelled at the provider"):
        ask_of(server, tmp_path, QUESTIONS, max_requests=60)
    results, counts, _ = ask_of(server, tmp_path, QUESTIONS, max_requests=60)
    assert texts(results) == ANSWERS
    assert (counts.paid, counts.from_journal) == (30, 30)
    assert set(server.executed.values()) == {1}


def test_a_batch_made_by_a_request_that_was_answered_with_an_error_is_found(tmp_path):
    server = BatchServer(echo)
    server.page = 1
    server.create_faults = [500, 429, -500]
    results, _, _ = ask_of(server, tmp_path, QUESTIONS[:5])
    assert len(results) == 5 and len(server.batches) == 1
    assert set(server.executed.values()) == {1}


def test_a_provider_that_lists_no_batches_can_still_be_used(tmp_path, caplog):
    server = BatchServer(echo)
    server.listed = False
    results, _, _ = ask_of(server, tmp_path, QUESTIONS[:5])
    assert len(results) == 5 and "does not list batches" in caplog.text


def test_faults_while_waiting_are_waited_out(tmp_path):
    server = BatchServer(echo)
    server.look_faults = [500, 429, 503]
    results, _, _ = ask_of(server, tmp_path, QUESTIONS)
    assert texts(results) == ANSWERS and not server.look_faults


def test_an_outage_ends_the_stage_and_the_batch_is_picked_up(tmp_path):
    server = BatchServer(echo)
    server.look_faults = [500] * 1000
    with pytest.raises(UserError, match=r"max_outage_s=0\.2 s.*picked up"):
        ask_of(server, tmp_path, QUESTIONS[:5], max_outage_s=0.2)
    server.look_faults = []
    results, counts, journal = ask_same_place(server, tmp_path, QUESTIONS[:5])
    assert len(results) == 5 and len(server.batches) == 1
    assert journal.spending().total == counts.charge


def test_results_that_the_provider_has_lost_are_asked_again_and_counted(tmp_path):
    server = BatchServer(echo)

    def lose_first(number):
        if number == 2:
            server.batch_fault = lambda number: None
        return None

    server.batch_fault = lose_first
    end = server._end

    def end_and_lose(batch, fault=None):
        end(batch, fault)
        if batch.id == "batch_1":
            server.forget_files()

    server._end = end_and_lose
    results, counts, journal = ask_of(server, tmp_path, ["a", "b"])
    assert texts(results) == {0: "re: a", 1: "re: b"}
    assert (counts.lost, counts.paid) == (2, 2) and set(server.executed.values()) == {2}
    assert journal.spending().lost == counts.lost_charge


def test_a_refused_key_is_the_users_to_mend_and_is_never_shown(tmp_path, monkeypatch):
    monkeypatch.setenv("TEST_KEY", "sk-very-secret")
    server = BatchServer(echo)
    server.create_faults = [401]
    with pytest.raises(UserError, match=r"refused the key.*TEST_KEY") as caught:
        ask_of(server, tmp_path, ["q"], api_key_env="TEST_KEY")
    assert "secret" not in str(caught.value) and server.keys == {"Bearer sk-very-secret"}
    journal = Journal(tmp_path, payer="run")
    assert journal.spending().total == Charge() and files(tmp_path) == {}
    monkeypatch.delenv("TEST_KEY")
    with pytest.raises(UserError, match="TEST_KEY"):
        ask_of(server, tmp_path, ["q"], api_key_env="TEST_KEY")


# --- money ---------------------------------------------------------------------------------


def test_a_batched_call_costs_its_share_of_the_price_and_all_of_its_tokens(tmp_path):
    server = BatchServer(echo)
    results, counts, journal = ask_of(server, tmp_path, ["q", "r"], price_share=0.5)
    list_price = 2 * (1 * PRICES.input + 100 * PRICES.output) / 1e6
    assert counts.charge.money == pytest.approx(list_price / 2) and counts.charge.tokens == 202
    settled = journal.spending().settled
    assert (settled.money, settled.tokens) == (pytest.approx(list_price / 2), 202)
    assert results[0].charge.money == pytest.approx(list_price / 4)


def test_only_what_fits_under_the_cap_is_submitted(tmp_path):
    server = BatchServer(echo)
    options = {"price_share": 0.5, "max_requests": 60, "max_tokens": 128}
    most = most_of("question 10", share=0.5, max_tokens=128)
    cap = Cap(money=20.5 * most.money)
    with pytest.raises(UserError, match=r"cap of this run is reached.*raise teacher\.cap") as error:
        ask_of(server, tmp_path, QUESTIONS, cap=cap, **options)
    sizes = [len(batch.lines) for batch in server.batches]
    assert sizes[0] == 20 and sizes == sorted(sizes, reverse=True) and len(sizes) > 2
    journal = Journal(tmp_path, payer="run", cap=cap)
    spent = journal.spending()
    assert spent.total.money <= cap.money < spent.total.money + most.money
    assert spent.total == spent.settled and f"{sum(sizes)} of 60 records" in str(error.value)
    journal.close()
    results, counts, _ = ask_of(server, tmp_path, QUESTIONS, cap=Cap(), **options)
    assert texts(results) == ANSWERS and counts.from_journal == sum(sizes)
    assert set(server.executed.values()) == {1}


def test_nothing_is_submitted_when_the_first_question_does_not_fit(tmp_path):
    server = BatchServer(echo)
    with pytest.raises(UserError, match="cap of this run is reached"):
        ask_of(server, tmp_path, QUESTIONS, cap=Cap(tokens=4000))
    assert not server.batches and files(tmp_path) == {}


def test_batches_in_flight_count_at_their_most(tmp_path):
    server = BatchServer(echo)
    server.go.clear()
    seen = []

    async def main():
        cap = Cap(tokens=2 * sum(most_of(content).tokens for content in QUESTIONS[:25]))
        async with serving(server) as url:
            asking = asyncio.create_task(ask_at(url, tmp_path, QUESTIONS, cap=cap))
            while len(server.batches) < 2:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.5)
            seen.append(len(server.batches))
            server.go.set()
            return await asking

    results, _, _ = asyncio.run(main())
    assert seen == [2] and texts(results) == ANSWERS and len(server.batches) == 3


def test_the_log_says_how_far_every_batch_is(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    ask_of(BatchServer(echo), tmp_path, QUESTIONS[:30])
    said = [record.message for record in caplog.records if record.name.startswith("mira.")]
    assert "test: batch batch_1 validating, 0 of 25 requests done" in said
    assert "test: batch batch_1 completed, 25 of 25 requests done" in said
    assert "test: batch batch_2: 5 replies" in said
    assert re.match(r"test: 30 of 30 records, .* tokens and .* money paid", said[-1])
