import asyncio
import os
import resource
import shutil
import signal
import subprocess
import sys

import orjson
import pandas as pd
import pytest
import zstandard

from mira.config import Cap
from mira.errors import UserError
from mira.io import read_jsonl
from mira.teacher.journal import CapReached, Hold, Journal, reply_key
from mira.teacher.journal.maintenance import compact, describe, export
from mira.teacher.pricing import Charge

MESSAGES = [{"role": "user", "content": "hello"}]


def key(number):
    return reply_key("model", MESSAGES, {"temperature": 0.0}, number)


def fill(journal, numbers):
    async def put_all():
        await asyncio.gather(*(journal.put(key(n), {"text": f"reply {n}"}) for n in numbers))

    asyncio.run(put_all())


def segments(folder):
    return sorted(folder.glob("*.jsonl.zst"))


def lines_of(path):
    with (
        path.open("rb") as handle,
        zstandard.ZstdDecompressor().stream_reader(handle, read_across_frames=True) as reader,
    ):
        return [orjson.loads(line) for line in reader.read().splitlines()]


def test_entries_are_found_at_once_and_after_reopening(tmp_path):
    journal = Journal(tmp_path / "journal")
    fill(journal, range(100))
    for opened in (journal, Journal(tmp_path / "journal")):
        assert len(opened) == 100
        assert opened.get(key(7))["text"] == "reply 7" and opened.get(key(7))["key"] == key(7)
        assert key(7) in opened and key(100) not in opened and opened.get(key(100)) is None
        assert [entry["text"] for entry in opened.iter_entries()] == [
            f"reply {n}" for n in range(100)
        ]


def test_zstdcat_reads_it(tmp_path):
    fill(Journal(tmp_path), range(3))
    fill(Journal(tmp_path), range(3, 5))
    command = f"{shutil.which('zstdcat') or ''} {tmp_path}/*.jsonl.zst"
    if command.startswith(" "):
        found = [line for path in segments(tmp_path) for line in lines_of(path)]
    else:
        seen = subprocess.run(command, shell=True, check=True, capture_output=True).stdout
        found = [orjson.loads(line) for line in seen.splitlines()]
    assert [line["text"] for line in found] == [f"reply {n}" for n in range(5)]


def test_a_batch_of_any_size_is_stored(tmp_path):
    fill(Journal(tmp_path), range(70_000))
    assert Journal(tmp_path).get(key(69_999))["text"] == "reply 69999"
    assert segments(tmp_path)[0].stat().st_size < 70_000 * 30


def test_keys_depend_on_everything_that_decides_a_reply_and_not_on_key_order():
    base = reply_key("m", MESSAGES, {"a": 1, "b": 2}, 0)
    assert base == reply_key("m", [{"content": "hello", "role": "user"}], {"b": 2, "a": 1}, 0)
    others = [
        reply_key("n", MESSAGES, {"a": 1, "b": 2}, 0),
        reply_key("m", [{"role": "user", "content": "hello "}], {"a": 1, "b": 2}, 0),
        reply_key("m", MESSAGES, {"a": 1, "b": 3}, 0),
        reply_key("m", MESSAGES, {"a": 1, "b": 2}, 1),
    ]
    assert len({base, *others}) == 5


def test_put_returns_after_fsync_and_groups_what_arrives_together(tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync

    def recording_fsync(descriptor):
        fsync(descriptor)
        synced.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(os, "fsync", recording_fsync)
    journal = Journal(tmp_path)

    async def put_two_waves():
        await asyncio.gather(*(journal.put(key(n), {"text": "x"}) for n in range(50)))
        assert synced[-1] == segments(tmp_path)[0].stat().st_size
        await asyncio.gather(*(journal.put(key(n), {"text": "x"}) for n in range(50, 99)))
        assert synced[-1] == segments(tmp_path)[0].stat().st_size

    asyncio.run(put_two_waves())
    assert len(synced) == 3  # the folder, and one per wave


def last_frame(path):
    """Offset of the last frame's header."""
    data = path.read_bytes()
    return data.rindex((0x184D2A50).to_bytes(4, "little"))


@pytest.mark.parametrize("cut", [1, 5, 12, 20, -3, -1])
def test_a_torn_frame_is_ignored_and_nothing_else(tmp_path, cut):
    journal = Journal(tmp_path)
    fill(journal, range(5))
    fill(journal, range(5, 9))
    [path] = segments(tmp_path)
    end = last_frame(path) + cut if cut > 0 else path.stat().st_size + cut
    os.truncate(path, end)
    reopened = Journal(tmp_path)
    assert [n for n in range(9) if key(n) in reopened] == [*range(5)]
    fill(reopened, range(5, 8))
    assert len(Journal(tmp_path)) == 8


def test_a_damaged_frame_is_told_and_costs_only_its_own_replies(tmp_path):
    journal = Journal(tmp_path)
    for start in (0, 5, 10):
        fill(journal, range(start, start + 5))
    [path] = segments(tmp_path)
    data = bytearray(path.read_bytes())
    middle = data.index((0x184D2A50).to_bytes(4, "little"), 20)
    data[middle + 30] ^= 0xFF
    path.write_bytes(data)
    reopened = Journal(tmp_path)
    assert [n for n in range(15) if key(n) in reopened] == [*range(5), *range(10, 15)]
    assert reopened.damaged() == [(path, middle)]


def test_overwritten_bytes_end_a_segment_without_a_traceback(tmp_path):
    fill(Journal(tmp_path), range(5))
    [path] = segments(tmp_path)
    with path.open("ab") as handle:
        handle.write(b"\0" * 4096)
    assert len(Journal(tmp_path)) == 5


def test_refresh_sees_what_another_journal_wrote(tmp_path):
    reader, writer = Journal(tmp_path), Journal(tmp_path)
    for n in range(3):
        fill(writer, [n])
        assert key(n) not in reader
        reader.refresh()
        assert reader.get(key(n))["text"] == f"reply {n}"


WRITER = """
import asyncio, sys
from mira.teacher.journal import Journal, reply_key
journal = Journal(sys.argv[1])
async def main():
    for n in range(int(sys.argv[2]), int(sys.argv[3])):
        keys = [reply_key("model", [], {}, n * 50 + i) for i in range(50)]
        await asyncio.gather(*(journal.put(key, {"text": "x" * 999}) for key in keys))
        print(n, flush=True)
asyncio.run(main())
"""


def test_two_processes_and_a_kill_lose_nothing_that_was_acknowledged(tmp_path):
    def start(first, last):
        command = [sys.executable, "-c", WRITER, str(tmp_path), str(first), str(last)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    steady, victim = start(0, 6), start(1000, 9999)
    acknowledged = [int(victim.stdout.readline()) for _ in range(3)]
    victim.kill()
    acknowledged += [int(line) for line in victim.stdout]
    assert steady.wait(20) == 0
    victim.wait(20)
    journal = Journal(tmp_path)
    for n in [*range(6), *acknowledged]:
        for i in range(50):
            assert reply_key("model", [], {}, n * 50 + i) in journal
    steady.stdout.close()
    victim.stdout.close()


def test_a_full_disk_names_the_folder_and_corrupts_nothing(tmp_path):
    journal = Journal(tmp_path)
    fill(journal, range(10))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (segments(tmp_path)[0].stat().st_size + 30, hard))
    try:
        with pytest.raises(UserError, match=str(tmp_path)):
            fill(journal, range(10, 20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sum(len(lines_of(path)) for path in segments(tmp_path)) == 10
    fill(journal, range(20, 25))
    for opened in (journal, Journal(tmp_path)):
        assert len(opened) == 15 and opened.get(key(24))["text"] == "reply 24"


def test_a_folder_that_cannot_be_made_is_a_user_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file/journal"):
        Journal(tmp_path / "file" / "journal")


# --- what it costs -----------------------------------------------------------------------------

MOST = Charge(1.0, 100)


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 20))


async def reserve_and_put(journal, n, charge):
    hold = await journal.reserve(key(n), MOST)
    await journal.put(key(n), {"text": str(n)}, charge, hold)


def test_a_hold_counts_until_the_call_ends_and_then_what_it_cost(tmp_path):
    journal = Journal(tmp_path, payer="run")

    async def main():
        paid, refused, lost = [await journal.reserve(key(n), MOST) for n in range(3)]
        assert journal.spending().in_flight == Charge(3.0, 300)
        await journal.put(key(0), {"text": "a"}, Charge(0.25, 40), paid)
        await journal.release(refused)
        await journal.lose(lost)
        await journal.flush()

    run(main())
    for opened in (journal, Journal(tmp_path, payer="run")):
        spending = opened.spending()
        assert spending.settled == Charge(0.25, 40) and spending.settled_calls == 1
        assert spending.lost == MOST and spending.lost_calls == 1
        assert spending.in_flight == Charge() and spending.total == Charge(1.25, 140)
    assert Journal(tmp_path, payer="other").spending().total == Charge()
    assert journal.payers() == ["run"]


def test_the_cap_refuses_what_could_exceed_it_and_says_what_was_spent(tmp_path):
    journal = Journal(tmp_path, payer="run", cap=Cap(money=2.5))

    async def main():
        for n in range(4):
            await reserve_and_put(journal, n, Charge(0.5, 10))
        with pytest.raises(CapReached, match=r"2\.0000 \(40 tokens\) are paid.*2\.5000"):
            await journal.reserve(key(9), MOST)

    run(main())
    richer = Journal(tmp_path, payer="run", cap=Cap(money=3.0))
    run(reserve_and_put(richer, 9, Charge(0.5, 10)))
    with pytest.raises(CapReached):
        run(Journal(tmp_path, payer="run", cap=Cap(tokens=149)).reserve(key(10), MOST))


def test_a_call_waits_for_room_that_calls_in_flight_may_leave(tmp_path):
    journal = Journal(tmp_path, payer="run", cap=Cap(tokens=150))
    other = Journal(tmp_path, payer="run", cap=Cap(tokens=150))

    async def main():
        first = await journal.reserve(key(1), MOST)
        waiting = [
            asyncio.create_task(journal.reserve(key(2), MOST)),
            asyncio.create_task(other.reserve(key(3), MOST)),
        ]
        await asyncio.sleep(0.5)
        assert not any(task.done() for task in waiting)
        await journal.put(key(1), {"text": "1"}, Charge(0.0, 50), first)
        done, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert len(done) == 1 and isinstance(done.pop().result(), Hold)
        pending.pop().cancel()

    run(main())


def test_many_writers_never_exceed_the_cap_together(tmp_path):
    cap = Cap(tokens=1_000)
    journals = [Journal(tmp_path, payer="run", cap=cap) for _ in range(3)]
    most_seen = 0

    async def spend(journal, first):
        nonlocal most_seen
        for n in range(first, first + 40):
            try:
                hold = await journal.reserve(key(n), MOST)
            except CapReached:
                return
            observer = Journal(tmp_path, payer="run")
            most_seen = max(most_seen, observer.spending().total.tokens)
            await journal.put(key(n), {"text": "x"}, Charge(0.0, 90), hold)

    async def main():
        await asyncio.gather(*(spend(j, i * 100) for i, j in enumerate(journals)))

    run(main())
    total = Journal(tmp_path, payer="run").spending().total.tokens
    assert most_seen <= 1_000 and 900 < total <= 1_000


def test_a_question_that_another_process_is_asking_is_waited_for(tmp_path):
    asking, waiting = Journal(tmp_path), Journal(tmp_path)

    async def main():
        hold = await asking.reserve(key(1), MOST)
        task = asyncio.create_task(waiting.reserve(key(1), MOST))
        await asyncio.sleep(0.5)
        assert not task.done()
        await asking.put(key(1), {"text": "once"}, Charge(), hold)
        assert (await task)["text"] == "once"
        hold = await asking.reserve(key(2), MOST)
        task = asyncio.create_task(waiting.reserve(key(2), MOST))
        await asking.release(hold)
        assert isinstance(await task, Hold)

    run(main())


HOLDER = """
import asyncio, sys
from mira.teacher.journal import Journal
from mira.teacher.pricing import Charge
async def main():
    journal = Journal(sys.argv[1], payer="run")
    await journal.reserve(sys.argv[2], Charge(1.0, 100))
    print("held", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


def test_calls_of_a_killed_process_stay_counted_and_may_be_asked_again(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path), key(1)]
    victim = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert victim.stdout.readline() == "held\n"
    journal = Journal(tmp_path, payer="run", cap=Cap(money=1.5))
    assert journal.spending().in_flight == MOST
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    victim.stdout.close()
    with pytest.raises(CapReached, match="1 calls whose replies were lost"):
        run(journal.reserve(key(1), MOST))
    assert journal.spending().lost == MOST
    adopted = run(journal.reserve(key(1), MOST, adopt=True))
    assert journal.spending().total == MOST
    run(journal.put(key(1), {"text": "it came after all"}, Charge(0.5, 5), adopted))
    assert Journal(tmp_path).spending("run").total == Charge(0.5, 5)


def test_compacting_keeps_every_reply_and_every_charge(tmp_path):
    for n in range(20):
        run(reserve_and_put(Journal(tmp_path, payer=f"run{n % 2}"), n, Charge(0.25, n)))
    journal = Journal(tmp_path, payer="run0")
    run(journal.put(key(0), {"text": "paid twice"}, Charge(0.5, 7)))
    run(journal.reserve(key(99), MOST))
    with pytest.raises(UserError, match="in use"):
        compact(tmp_path)
    journal.close()
    del journal
    before = Journal(tmp_path)
    entries = [before.get(key(n))["text"] for n in range(20)]
    spending = {payer: before.spending(payer) for payer in before.payers()}
    assert spending["run0"].lost == MOST
    del before
    originals = {path: path.read_bytes() for path in segments(tmp_path)}
    size_before, size_after = compact(tmp_path)
    assert size_after < size_before and len(segments(tmp_path)) == 1
    for leftover in (None, *originals):  # killed before the old segments were removed
        if leftover is not None:
            leftover.write_bytes(originals[leftover])
        after = Journal(tmp_path)
        assert [after.get(key(n))["text"] for n in range(20)] == entries
        assert {payer: after.spending(payer) for payer in after.payers()} == spending
        del after
    compact(tmp_path)
    assert Journal(tmp_path).spending("run0") == spending["run0"]


def test_what_a_journal_holds_can_be_counted_and_exported(tmp_path):
    folder = tmp_path / "journal"
    for n in range(5):
        run(reserve_and_put(Journal(folder, payer="run"), n, Charge(0.25, n)))
    contents = describe(folder)
    assert (contents.replies, contents.segments) == (5, 5)
    assert contents.spending["run"].settled == Charge(1.25, 10)
    assert export(folder, tmp_path / "replies.jsonl") == 5
    assert {row["text"] for row in read_jsonl(tmp_path / "replies.jsonl")} == set("01234")
    export(folder, tmp_path / "replies.parquet")
    assert pd.read_parquet(tmp_path / "replies.parquet")["money"].sum() == 1.25
    with pytest.raises(UserError, match="No journal"):
        describe(tmp_path)


def test_a_large_journal_opens_and_is_read_through(tmp_path):
    fill(Journal(tmp_path), range(20_000))
    journal = Journal(tmp_path)
    assert sum(1 for _ in journal.iter_entries()) == len(journal) == 20_000
