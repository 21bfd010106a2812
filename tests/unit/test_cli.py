import asyncio
import json

import pytest

from mira.cli import main
from mira.teacher.journal import Journal, reply_key
from mira.teacher.pricing import Charge

KEY = reply_key("m", [], {}, 0)


@pytest.fixture
def folder(tmp_path):
    journal = Journal(tmp_path / "journal", payer="run")
    entry = {"model": "m", "text": "[A1] x: 8/10", "usage": {"prompt_tokens": 3}}
    asyncio.run(journal.put(KEY, entry, Charge(0.5, 30)))
    return str(journal.folder)


def test_journal_commands(folder, tmp_path, capsysbinary):
    def said(*words):
        main(["journal", *words, "--folder", folder])
        return capsysbinary.readouterr().out.decode()

    counted = said("stats")
    assert "1 replies, 1 segments" in counted and "model m: 1" in counted
    assert "run run: 1 calls, 0.5000 (30 tokens) are paid" in counted
    assert json.loads(said("show"))["key"] == KEY
    assert json.loads(said("show", KEY))["text"] == "[A1] x: 8/10"
    assert "1 replies" in said("export", str(tmp_path / "out.jsonl"))
    assert json.loads((tmp_path / "out.jsonl").read_text())["charge"] == [0.5, 30]
    assert "became" in said("compact")
    assert "1 replies, 1 segments" in said("stats")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["show", "nothex"], "No reply under the key 'nothex'"),
        (["show", "0" * 32], "No reply under the key"),
        (["export", "out.txt"], "*.jsonl or *.parquet"),
    ],
)
def test_a_mistake_ends_with_a_message_and_status_1(folder, capsys, words, message):
    with pytest.raises(SystemExit) as stopped:
        main(["journal", *words, "--folder", folder])
    assert stopped.value.code == 1
    assert message in capsys.readouterr().err


def test_no_journal_at_all(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["journal", "stats", "--folder", str(tmp_path)])
    assert "teacher.journal" in capsys.readouterr().err
