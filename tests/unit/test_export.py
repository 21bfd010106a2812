import json

import orjson
import pandas as pd
import pytest
import zstandard

from mira.export import export_source
from mira.io import write_parquet

MESSAGES = [
    {"role": "user", "content": "list files"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "sh", "arguments": '{"c":"ls"}'}}
        ],
    },
    {"role": "tool", "content": "naïve.txt", "tool_call_id": "1"},
]


@pytest.fixture
def corpus(tmp_path):
    rows = [
        {"id": "a", "text": "plain\nText ☃", "messages": None, "meta": '{"path":"x.py"}'},
        {"id": "b", "text": "rendered", "messages": json.dumps(MESSAGES), "meta": "{}"},
        {"id": "c", "text": "dropped", "messages": None, "meta": None},
    ]
    frame = pd.DataFrame(rows).assign(source="s", family="agent", n_chars=1, n_tokens=1)
    path = tmp_path / "s.parquet"
    write_parquet(frame, path)
    return path


def read(path):
    with zstandard.open(path, "rt", encoding="utf-8") as handle:
        return [orjson.loads(line) for line in handle]


def test_records_come_back_as_they_went_in(corpus, tmp_path):
    out = tmp_path / "mira" / "s.jsonl.zst"
    assert export_source(corpus, ["b", "a"], out) == 2
    assert read(out) == [
        {
            "id": "a",
            "source": "s",
            "family": "agent",
            "text": "plain\nText ☃",
            "meta": {"path": "x.py"},
        },
        {"id": "b", "source": "s", "family": "agent", "messages": MESSAGES},
    ]


def test_bytes_depend_on_the_selection_only(corpus, tmp_path):
    one, two = tmp_path / "one.jsonl.zst", tmp_path / "two.jsonl.zst"
    export_source(corpus, ["a", "c"], one)
    export_source(corpus, ["c", "a"], two, batch_rows=1)
    assert one.read_bytes() == two.read_bytes()


def test_an_empty_selection_is_an_empty_file(corpus, tmp_path):
    out = tmp_path / "none.jsonl.zst"
    assert export_source(corpus, [], out) == 0
    assert read(out) == []


def test_a_selected_id_outside_the_corpus_leaves_no_file(corpus, tmp_path):
    out = tmp_path / "s.jsonl.zst"
    with pytest.raises(ValueError, match="holds 1 of 2"):
        export_source(corpus, ["a", "zzz"], out)
    assert list(tmp_path.iterdir()) == [corpus]
