import asyncio
import json
import os
import resource
import subprocess
import sys
import time

import pytest

from mira.errors import UserError
from mira.teacher.journal import Journal, reply_key

MESSAGES = [{"role": "user", "content": "hello"}]


def key(number):
    return reply_key("model", MESSAGES, {"temperature": 0.0}, number)


def fill(journal, numbers):
    async def put_all():
        await asyncio.gather(*(journal.put(key(n), {"text": f"reply {n}"}) for n in numbers))

    asyncio.run(put_all())


def segments(folder):
    return sorted(folder.glob("*.jsonl"))


def test_entries_are_found_at_once_and_after_reopening(tmp_path):
    journal = Journal(tmp_path / "journal")
    fill(journal, range(100))
    for opened in (journal, Journal(tmp_path / "journal")):
        assert len(opened) == 100
        assert opened.get(key(7)) == {"key": key(7), "text": "reply 7"}
        assert key(7) in opened and key(100) not in opened and opened.get(key(100)) is None
        assert [entry["text"] for entry in opened.iter_entries()] == [
            f"reply {n}" for n in range(100)
        ]


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
        first = segments(tmp_path)[0].stat().st_size
        assert synced[-1] == first
        started = time.monotonic()
        await asyncio.gather(*(journal.put(key(n), {"text": "x"}) for n in range(50, 99)))
        return time.monotonic() - started

    seconds = asyncio.run(put_two_waves())
    assert len(synced) == 3  # the folder, and one per wave
    assert 0.02 < seconds < 1


@pytest.mark.parametrize(
    "damage", [b'{"key": "00', b"\x00\xff\n", b'{"nokey": 1}\n', b'{"key": 3}\n']
)
def test_a_torn_or_damaged_line_is_ignored_and_nothing_else(tmp_path, damage):
    fill(Journal(tmp_path), range(5))
    with segments(tmp_path)[0].open("ab") as handle:
        handle.write(damage)
    journal = Journal(tmp_path)
    fill(journal, range(5, 8))
    reopened = Journal(tmp_path)
    assert len(reopened) == 8
    assert [reopened.get(key(n))["text"] for n in range(8)] == [f"reply {n}" for n in range(8)]


def test_refresh_sees_what_another_process_wrote_even_half_a_line_at_a_time(tmp_path):
    reader, line = Journal(tmp_path), json.dumps({"key": key(1), "text": "late"}).encode() + b"\n"
    segment = tmp_path / "other.jsonl"
    segment.write_bytes(line[:20])
    reader.refresh()
    assert len(reader) == 0
    segment.write_bytes(line)
    reader.refresh()
    assert reader.get(key(1))["text"] == "late"


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
    assert all(line.endswith(b"}\n") for p in segments(tmp_path) for line in p.open("rb"))
    fill(journal, range(20, 25))
    for opened in (journal, Journal(tmp_path)):
        assert len(opened) == 15 and opened.get(key(24))["text"] == "reply 24"


def test_a_folder_that_cannot_be_made_is_a_user_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file/journal"):
        Journal(tmp_path / "file" / "journal")


def test_a_large_journal_opens_fast(tmp_path):
    line = json.dumps({"key": "%032x", "text": "[A1] name: 8/10 reason " * 20}) + "\n"
    (tmp_path / "a.jsonl").write_text("".join(line % n for n in range(20_000)))
    started = time.perf_counter()
    journal = Journal(tmp_path)
    assert len(journal) == 20_000
    assert time.perf_counter() - started < 1.5
