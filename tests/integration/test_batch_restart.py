"""Batches outlive the process that submitted them: they are found again and paid once."""

import asyncio
import re

import orjson
import pytest
from batch_asking import (
    ANSWERS,
    QUESTIONS,
    ask_at,
    ask_until,
    echo,
    files,
    most_of,
    texts,
)
from batch_server import BatchServer, serving

from mira.config import Cap
from mira.errors import UserError
from mira.teacher.client import ask_all
from mira.teacher.journal import Journal


def test_an_interrupted_stage_says_what_goes_on_and_picks_it_up(tmp_path, caplog):
    server = BatchServer(echo)
    server.go.clear()

    async def main():
        async with serving(server) as url:
            await ask_until(lambda: server.looked_at == 3, url, tmp_path, QUESTIONS)
            held = Journal(tmp_path, payer="run").spending()
            server.go.set()
            return held, await ask_at(url, tmp_path, QUESTIONS)

    held, (results, counts, journal) = asyncio.run(main())
    assert re.search("picked up by the next start: batch_1, batch_2, batch_3", caplog.text)
    assert held.total.tokens == sum(most_of(content).tokens for content in QUESTIONS)
    assert texts(results) == ANSWERS and counts.paid == 60 and len(server.batches) == 3
    assert journal.spending().total == counts.charge


@pytest.mark.parametrize("lost", ["batch id", "whole folder"])
def test_a_batch_is_found_by_its_name_in_the_providers_list(tmp_path, lost):
    server = BatchServer(echo)
    server.go.clear()
    server.page = 2

    async def main():
        async with serving(server) as url:
            for other in range(3):
                folder, contents = tmp_path / f"other{other}", [f"other {other}"]
                await ask_until(lambda other=other: server.looked_at > other, url, folder, contents)
            await ask_until(
                lambda: server.looked_at == 4, url, tmp_path / "journal", QUESTIONS[:20]
            )
            folder = tmp_path / "journal" / "batches"
            if lost == "whole folder":
                (tmp_path / "journal").rename(tmp_path / "gone")
            else:
                [path] = folder.glob("*.json")
                state = {**orjson.loads(path.read_bytes()), "batch_id": None, "file_id": None}
                path.write_bytes(orjson.dumps(state))
            server.go.set()
            return await ask_at(url, tmp_path / "journal", QUESTIONS[:20])

    results, counts, _ = asyncio.run(main())
    assert len(results) == counts.paid == 20 and len(server.batches) == 4


def test_a_claim_whose_batch_was_never_made_is_given_up(tmp_path):
    server = BatchServer(echo)
    server.create_faults = [500] * 1000

    async def main():
        async with serving(server) as url:
            with pytest.raises(UserError, match="max_outage_s"):
                await ask_at(url, tmp_path, QUESTIONS[:5], max_outage_s=0.1)
            assert files(tmp_path)[".json"] == 1
            server.create_faults = []
            return await ask_at(url, tmp_path, QUESTIONS[3:10])

    results, counts, journal = asyncio.run(main())
    assert len(results) == counts.paid == 7 and {len(b.lines) for b in server.batches} == {5, 2}
    assert journal.spending().total == counts.charge and files(tmp_path) == {".done": 2}


def test_a_batch_of_other_questions_is_settled_and_those_it_has_are_not_asked_again(tmp_path):
    server = BatchServer(echo)
    server.go.clear()

    async def main():
        async with serving(server) as url:
            await ask_until(lambda: server.looked_at, url, tmp_path, QUESTIONS[:20])
            server.go.set()
            return await ask_at(url, tmp_path, QUESTIONS[10:30])

    results, counts, journal = asyncio.run(main())
    assert len(results) == 20 and [len(b.lines) for b in server.batches] == [20, 10]
    assert set(server.executed.values()) == {1} and len(journal) == 30
    assert journal.spending().total == counts.charge and files(tmp_path) == {".done": 2}


def test_replies_that_came_another_way_meanwhile_are_not_stored_again(tmp_path):
    server = BatchServer(echo)
    server.go.clear()

    async def main():
        async with serving(server) as url:
            await ask_until(lambda: server.looked_at, url, tmp_path, QUESTIONS[:20])
            _, live, _ = await ask_at(url, tmp_path, QUESTIONS[:8], ask=ask_all)
            server.go.set()
            return live, await ask_at(url, tmp_path, QUESTIONS[:20])

    live, (results, counts, journal) = asyncio.run(main())
    assert len(results) == len(journal) == 20 and (counts.paid, counts.from_journal) == (12, 8)
    # The batch's replies to the first 8 were paid all the same.
    assert counts.lost_charge == journal.spending().lost and counts.lost == 8
    assert counts.lost_charge.money == pytest.approx(live.charge.money)
    settled = journal.spending().settled.money
    assert settled == pytest.approx(live.charge.money + counts.charge.money)


def test_batches_of_other_runs_that_are_not_needed_are_left_alone(tmp_path):
    server = BatchServer(echo)
    server.go.clear()

    async def main():
        async with serving(server) as url:
            await ask_until(
                lambda: server.looked_at, url, tmp_path, QUESTIONS[:5], payer="other run"
            )
            server.go.set()
            await ask_at(url, tmp_path, QUESTIONS[5:10])
            left = Journal(tmp_path, payer="other run").spending().lost
            return left, await ask_at(url, tmp_path, QUESTIONS[:5], payer="other run")

    left, (results, counts, journal) = asyncio.run(main())
    assert left.tokens == sum(most_of(content).tokens for content in QUESTIONS[:5])
    assert len(results) == counts.paid == 5 and set(server.executed.values()) == {1}
    assert journal.spending().total == counts.charge


def test_fetching_a_paid_batch_needs_no_room_under_the_cap(tmp_path):
    server = BatchServer(echo)
    server.go.clear()

    async def main():
        async with serving(server) as url:
            await ask_until(lambda: server.looked_at, url, tmp_path, QUESTIONS[:5])
            server.go.set()
            return await ask_at(url, tmp_path, QUESTIONS[:5], cap=Cap(tokens=10))

    results, _, _ = asyncio.run(main())
    assert len(results) == 5


def test_two_at_once_pay_every_question_once(tmp_path):
    server = BatchServer(echo)

    async def main():
        async with serving(server) as url:
            first = ask_at(url, tmp_path, QUESTIONS[:40], max_requests=7)
            second = ask_at(url, tmp_path, QUESTIONS[20:], max_requests=9)
            return await asyncio.gather(first, second)

    (one, counts, _), (two, others, _) = asyncio.run(main())
    assert texts(one) == {i: ANSWERS[i] for i in range(40)}
    assert texts(two) == {i: ANSWERS[i + 20] for i in range(40)}
    assert set(server.executed.values()) == {1} and counts.paid + others.paid == 60
