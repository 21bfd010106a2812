"""The teacher layer against an endpoint that fails in every way, and against SIGKILL."""

import asyncio
import hashlib
import random
import re
import signal
import sys
import time
from collections import Counter
from contextlib import asynccontextmanager

import orjson
import pandas as pd
import pytest
from aiohttp import web
from pandas.testing import assert_frame_equal

from mira.config import Prices
from mira.io import read_json, read_parquet, write_json, write_parquet
from mira.labelling import label
from mira.teacher.journal import Journal
from mira.teacher.settings import TeacherSettings

N_RECORDS = 60
SLOTS = [f"A{i}" for i in range(1, 16)]
ANCHORS = [{"slot": s, "name": f"N {s}", "definition": "d", "references": []} for s in SLOTS]
FAULTS = ("429", "500", "dropped", "malformed", "not_json", "slow")


def records():
    rows = [
        (f"id{i:02}", f"src{i % 3}", "text", "train" if i % 5 else "validation", f"record {i}")
        for i in range(N_RECORDS)
    ]
    return pd.DataFrame(rows, columns=["id", "source", "family", "split", "text"])


def reply_to(content):
    """The deterministic teacher: some records get replies that need the ladder."""
    number = int(re.search(r"^record (\d+)$", content, re.MULTILINE)[1])
    again = "could not be used" in content
    if number % 20 == 3:
        return "I would rather not."
    if number % 20 == 4 and not again:
        return "[A1] N A1: 11/10"
    lines = [f"[{s}] N {s}: {(number + i) % 11}/10 — saw {i}" for i, s in enumerate(SLOTS)]
    tail = ["overall: 70", "training_recommendation: keep", "domain_tag: t", "brief: b"]
    return "\n".join([*lines, *tail])


class FaultyTeacher:
    """Counts visits and answers per question; ``fault(question, visit)`` names a fault or None."""

    def __init__(self, fault=lambda question, visit: None, latency_s=0.0):
        self.visits = Counter()
        self.answered = Counter()
        self._fault = fault
        self._latency_s = latency_s

    async def chat(self, request):
        content = (await request.json())["messages"][-1]["content"]
        question = hashlib.sha256(content.encode()).hexdigest()
        self.visits[question] += 1
        fault = self._fault(question, self.visits[question])
        await asyncio.sleep(self._latency_s)
        if fault == "429":
            return web.json_response({}, status=429, headers={"retry-after": "0.02"})
        if fault == "500":
            return web.Response(status=500, text="oops")
        if fault == "dropped":
            request.transport.abort()
            return web.Response()
        if fault == "malformed":
            return web.json_response({"choices": []})
        if fault == "not_json":
            return web.Response(text='{"choices": [{"message"')
        if fault == "slow":
            await asyncio.sleep(30)
        self.answered[question] += 1
        message = {"role": "assistant", "content": reply_to(content)}
        usage = {"prompt_tokens": len(content), "completion_tokens": 100}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        return web.json_response({"choices": [choice], "usage": usage}, dumps=_dumps)


def _dumps(value):
    return orjson.dumps(value).decode()


@asynccontextmanager
async def serving(teacher):
    app = web.Application()
    app.router.add_post("/v1/chat/completions", teacher.chat)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/v1"
    finally:
        await runner.cleanup()


async def label_all(url, folder, **changes):
    options = {"timeout_s": 0.5, "backoff_s": 0.01, "concurrency": 16, "max_failed_share": 1.0}
    settings = TeacherSettings(base_urls=(url,), model="m", **{**options, **changes})
    prices = Prices(input=1.0, cached_input=0.1, output=2.0)
    journal = Journal(folder)
    return await label(records(), ANCHORS, settings, journal, group="g1", prices=prices)


def label_with(teacher, folder, **changes):
    async def main():
        async with serving(teacher) as url:
            return await label_all(url, folder, **changes)

    return asyncio.run(main())


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    return label_with(FaultyTeacher(), tmp_path_factory.mktemp("quiet"))


def assert_same(labelled, quiet):
    assert_frame_equal(labelled.labels, quiet.labels)
    assert_frame_equal(labelled.rejected, quiet.rejected)


def test_a_quiet_run_labels_or_rejects_every_record(quiet):
    assert quiet.cost["parse"] == {"strict": 54, "repaired": 0, "asked_again": 3, "rejected": 3}
    assert len(quiet.labels) + len(quiet.rejected) == N_RECORDS
    assert quiet.cost["paid_calls"] == N_RECORDS + 6


def test_faults_of_every_kind_change_nothing_but_the_number_of_tries(tmp_path, quiet):
    def fault(question, visit):
        kind = FAULTS[int(question, 16) % len(FAULTS)]
        return kind if visit <= (1 if kind == "slow" else 2) else None

    teacher = FaultyTeacher(fault)
    labelled = label_with(teacher, tmp_path)
    assert_same(labelled, quiet)
    assert labelled.cost["retried_calls"] >= N_RECORDS
    assert set(teacher.answered.values()) == {1}
    again = label_with(FaultyTeacher(), tmp_path)
    assert_same(again, quiet)
    assert again.cost["paid_calls"] == 0 and again.cost["money"] == labelled.cost["money"]


def test_lasting_faults_end_in_the_rejected_table_with_their_reason(tmp_path, quiet):
    def fault(question, visit):
        return FAULTS[int(question, 16) % len(FAULTS)] if int(question, 16) % 4 == 0 else None

    labelled = label_with(FaultyTeacher(fault), tmp_path, max_retries=1, timeout_s=0.3)
    assert len(labelled.labels) + len(labelled.rejected) == N_RECORDS
    reasons = set(labelled.rejected["reason"])
    assert len(reasons) >= 3 and "unreadable_reply" in reasons
    kept = quiet.labels[quiet.labels["id"].isin(labelled.labels["id"])]
    both = labelled.labels[labelled.labels["parse"] == "strict"].reset_index(drop=True)
    assert_frame_equal(both, kept[kept["id"].isin(both["id"])].reset_index(drop=True))


def test_sigkill_and_restart_pays_only_calls_in_flight_twice(tmp_path, quiet):
    concurrency = 4
    teacher = FaultyTeacher(latency_s=0.02)
    kill_after = random.Random(time.time_ns()).randint(5, N_RECORDS - 15)

    async def main():
        async with serving(teacher) as url:
            command = [sys.executable, __file__, url, str(tmp_path), str(concurrency)]
            victim = await asyncio.create_subprocess_exec(*command)
            while sum(teacher.answered.values()) < kill_after:
                assert victim.returncode is None, "finished before it could be killed"
                await asyncio.sleep(0.001)
            victim.send_signal(signal.SIGKILL)
            assert await victim.wait() == -signal.SIGKILL
            asked = sum(teacher.visits.values())
            stored = len(Journal(tmp_path / "journal"))
            second = await asyncio.create_subprocess_exec(*command)
            assert await second.wait() == 0
            return asked, stored

    asked, stored = asyncio.run(main())
    print(f"killed after {kill_after} replies: {asked} asked, {stored} in the journal")
    assert 0 < stored <= asked < len(teacher.visits) == N_RECORDS + 6
    # Nothing that was stored is asked again, and only what was in flight had not been stored:
    # calls being answered, and replies that came within the last commit interval.
    assert sum(teacher.visits.values()) == asked + len(teacher.visits) - stored
    assert asked - stored <= concurrency + 16
    assert read_json(tmp_path / "cost.json")["journal_calls"] == stored
    assert_frame_equal(read_parquet(tmp_path / "labels.parquet"), quiet.labels)
    assert_frame_equal(read_parquet(tmp_path / "rejected.parquet"), quiet.rejected)


def label_in_a_process(url, folder, concurrency):
    labelled = asyncio.run(
        label_all(url, f"{folder}/journal", concurrency=int(concurrency), timeout_s=5)
    )
    write_parquet(labelled.labels, f"{folder}/labels.parquet")
    write_parquet(labelled.rejected, f"{folder}/rejected.parquet")
    write_json(labelled.cost, f"{folder}/cost.json")


if __name__ == "__main__":
    label_in_a_process(*sys.argv[1:])
