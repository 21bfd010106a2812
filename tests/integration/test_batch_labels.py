"""Labels through the batch API are the live ones, whatever fails and whenever it is killed."""

import asyncio
import os
import random
import re
import signal
import sys
from pathlib import Path

import pandas as pd
import pytest
from batch_asking import LINE_FAULTS, settings_for
from batch_server import BatchServer, serving

from mira.io import write_parquet
from mira.labelling import label
from mira.teacher.journal import Journal

N_RECORDS = 60
SLOTS = [f"A{i}" for i in range(1, 16)]
ANCHORS = [{"slot": s, "name": f"N {s}", "definition": "d", "references": []} for s in SLOTS]


def records():
    rows = [
        (f"id{i:02}", f"src{i % 3}", "text", "train" if i % 5 else "validation", f"record {i}")
        for i in range(N_RECORDS)
    ]
    return pd.DataFrame(rows, columns=["id", "source", "family", "split", "text"])


def judge(content):
    """The deterministic teacher: some records get replies that need the ladder."""
    number = int(re.search(r"^record (\d+)$", content, re.MULTILINE)[1])
    if number % 20 == 3:
        return "I would rather not."
    if number % 20 == 4 and "could not be used" not in content:
        return "[A1] N A1: 11/10"
    lines = [f"[{s}] N {s}: {(number + i) % 11}/10 — saw {i}" for i, s in enumerate(SLOTS)]
    tail = ["overall: 70", "training_recommendation: keep", "domain_tag: t", "brief: b"]
    return "\n".join([*lines, *tail])


async def label_at(url, folder, **changes):
    """Write the labels and the rejected records below the folder; the bill."""
    settings = settings_for(url, **changes)
    journal = Journal(Path(folder) / "journal", payer="run")
    labelled = await label(records(), ANCHORS, settings, journal, group="g1")
    write_parquet(labelled.labels, Path(folder) / "labels.parquet")
    write_parquet(labelled.rejected, Path(folder) / "rejected.parquet")
    return labelled.cost


def label_with(server, folder, **changes):
    async def main():
        async with serving(server) as url:
            return await label_at(url, folder, **changes)

    return asyncio.run(main())


def tables(folder):
    return [(folder / f"{name}.parquet").read_bytes() for name in ("labels", "rejected")]


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    folder = tmp_path_factory.mktemp("live")
    cost = label_with(BatchServer(judge), folder, mode="live")
    assert cost["parse"] == {"strict": 54, "repaired": 0, "asked_again": 3, "rejected": 3}
    return folder


def test_batch_labels_are_the_live_ones_to_the_byte(tmp_path, live):
    server = BatchServer(judge)
    cost = label_with(server, tmp_path)
    assert tables(tmp_path) == tables(live)
    assert server.live_calls == 0 and len(server.executed) == N_RECORDS + 6
    assert cost["paid_calls"] == N_RECORDS + 6


def test_faults_of_lines_and_batches_change_no_label(tmp_path, live):
    server = BatchServer(judge)
    server.fault = lambda content, visit: (
        LINE_FAULTS[len(content) % len(LINE_FAULTS)] if visit == 1 else None
    )
    server.batch_fault = lambda number: {2: "expire", 3: "fail"}.get(number)
    label_with(server, tmp_path, max_requests=20)
    assert tables(tmp_path) == tables(live)


@pytest.mark.parametrize("moment", ["submitted", "downloading", "storing"])
def test_sigkill_and_restart_pays_every_question_once(tmp_path, live, moment):
    server = BatchServer(judge)
    gate = server.go if moment == "submitted" else server.send_rest
    gate.clear()
    server.free_downloads = moment == "storing"

    def reached():
        if moment == "submitted":
            return len(server.batches) == 3
        if moment == "downloading":
            return server.downloads_begun == 3
        return server.downloads_begun == 3 and len(Journal(tmp_path / "journal")) > 0

    async def main():
        async with serving(server) as url:
            victim = await start(url, tmp_path)
            while not reached():
                assert victim.returncode is None, "finished before it could be killed"
                await asyncio.sleep(0.01)
            victim.send_signal(signal.SIGKILL)
            assert await victim.wait() == -signal.SIGKILL
            at_kill = len(Journal(tmp_path / "journal")), len(server.batches)
            gate.set()
            second = await start(url, tmp_path)
            assert await second.wait() == 0
            return at_kill

    stored, batches = asyncio.run(main())
    print(f"killed with {stored} replies stored and {batches} batches submitted")
    assert (stored > 0) == (moment == "storing") and batches >= 3
    assert set(server.executed.values()) == {1} and len(server.executed) == N_RECORDS + 6
    assert tables(tmp_path) == tables(live)
    spending = Journal(tmp_path / "journal", payer="run").spending()
    assert spending.total == spending.settled and spending.settled_calls == N_RECORDS + 6


@pytest.mark.slow
def test_kills_at_random_moments_change_no_label_and_no_bill(tmp_path, live):
    server = BatchServer(judge)
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    moments = random.Random(seed)

    async def main():
        async with serving(server) as url:
            kills = 0
            while True:
                process = await start(url, tmp_path, max_requests=7)
                kill_at = server.requests + moments.randint(1, 25)
                while server.requests < kill_at and process.returncode is None:
                    await asyncio.sleep(0.001)
                if kills == 6 or process.returncode is not None:
                    assert await process.wait() == 0
                    return kills
                process.send_signal(signal.SIGKILL)
                await process.wait()
                kills += 1

    print(f"killed {asyncio.run(main())} times, {len(server.batches)} batches")
    assert set(server.executed.values()) == {1} and len(server.executed) == N_RECORDS + 6
    assert tables(tmp_path) == tables(live)
    spending = Journal(tmp_path / "journal", payer="run").spending()
    assert spending.total == spending.settled and spending.settled_calls == N_RECORDS + 6


def test_two_processes_at_once_pay_every_question_once(tmp_path, live):
    server = BatchServer(judge)

    async def main():
        async with serving(server) as url:
            both = [await start(url, tmp_path, output) for output in ("one", "two")]
            assert [await process.wait() for process in both] == [0, 0]

    asyncio.run(main())
    assert set(server.executed.values()) == {1} and len(server.executed) == N_RECORDS + 6
    assert tables(tmp_path / "one") == tables(tmp_path / "two") == tables(live)


async def start(url, folder, output=".", max_requests=25):
    """A process that labels the records through the batch API at the URL."""
    command = [sys.executable, __file__, url, str(folder), output, str(max_requests)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    return await asyncio.create_subprocess_exec(*command, env=environment)


def label_in_a_process(url, folder, output, max_requests):
    (Path(folder) / output).mkdir(exist_ok=True)
    (Path(folder) / "journal").mkdir(exist_ok=True)
    if output != ".":
        (Path(folder) / output / "journal").symlink_to(Path(folder) / "journal")
    asyncio.run(label_at(url, Path(folder) / output, max_requests=int(max_requests)))


if __name__ == "__main__":
    label_in_a_process(*sys.argv[1:])
