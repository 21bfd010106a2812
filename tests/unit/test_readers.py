import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from mira.config import Source
from mira.errors import UserError
from mira.sampling.fields import Reason, RowError, clean_messages, to_record
from mira.sampling.readers import read_source

ROWS = [{"id": f"r{i}", "text": f"text number {i}", "meta": {"n": i}} for i in range(5)]
CALL = {"id": "c1", "type": "function", "function": {"name": "ls", "arguments": '{"path": "."}'}}


def source(path, family="text", **fields):
    return Source(family=family, path=path, fields=fields)


def jsonl(rows):
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def read(tmp_path, path, **fields):
    return list(read_source("s", source(path, **fields), tmp_path))


@pytest.mark.parametrize(
    ("name", "compress"),
    [
        ("a.jsonl", bytes),
        ("a.jsonl.gz", gzip.compress),
        ("a.jsonl.zst", zstandard.compress),
        ("a.jsonl.zst", lambda data: zstandard.compress(b"") + zstandard.compress(data)),
    ],
)
def test_jsonl_plain_and_compressed(tmp_path, name, compress):
    (tmp_path / name).write_bytes(compress(jsonl(ROWS)))
    rows = read(tmp_path, name)
    assert [row.value for row in rows] == ROWS
    assert [row.line for row in rows] == [1, 2, 3, 4, 5]
    assert all(row.file.endswith(name) and row.failure is None for row in rows)


def test_parquet_reads_only_mapped_columns_in_batches(tmp_path):
    rows = [{**row, "other": "x" * 100} for row in ROWS] * 200
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    read_rows = read(tmp_path, "a.parquet", id="meta.n")
    assert [row.value for row in read_rows] == [
        {"text": r["text"], "meta": r["meta"]} for r in rows
    ]
    assert [row.line for row in read_rows] == list(range(1, 1001))


def test_parquet_with_a_value_that_is_not_utf8(tmp_path):
    text = pa.array([b"fine", b"\xff\xfe", b"fine too"]).view(pa.binary()).cast(pa.binary())
    broken = pa.StringArray.from_buffers(3, text.buffers()[1], text.buffers()[2])
    pq.write_table(pa.table({"id": ["a", "b", "c"], "text": broken}), tmp_path / "a.parquet")
    rows = read(tmp_path, "a.parquet")
    assert [row.failure.reason if row.failure else None for row in rows] == [
        None,
        Reason.INVALID_UTF8,
        None,
    ]


def test_several_files_and_globs_in_order(tmp_path):
    for name, row in zip("cab", ROWS, strict=False):
        (tmp_path / f"{name}.jsonl").write_bytes(jsonl([row]))
    (tmp_path / "z.jsonl").write_bytes(jsonl(ROWS[4:]))
    rows = read(tmp_path, ["z.jsonl", "[a-c].jsonl"])
    assert [row.file[-7:] for row in rows] == ["z.jsonl", "a.jsonl", "b.jsonl", "c.jsonl"]


def test_broken_lines_are_yielded_with_their_failure(tmp_path):
    lines = [
        b"\xef\xbb\xbf" + jsonl(ROWS[:1]),
        b"\n",
        b'{"id": "x", \n',
        b'{"id": "\xff"}\n',
        b"7\n",
    ]
    (tmp_path / "a.jsonl").write_bytes(b"".join(lines))
    rows = read(tmp_path, "a.jsonl")
    assert [row.line for row in rows] == [1, 3, 4, 5]
    assert [row.failure and row.failure.reason for row in rows] == [
        None,
        Reason.MALFORMED_JSON,
        Reason.INVALID_UTF8,
        None,
    ]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("absent.jsonl", "File not found"),
        ("*.jsonl.gz", "No file matches"),
        ("data.csv", "unknown extension '.csv'"),
        ("folder", "is a folder"),
        ("cut.jsonl.gz", "cannot be read to its end"),
        ("cut.jsonl.zst", "cannot be read to its end"),
        ("not.parquet", "not a readable Parquet file"),
    ],
)
def test_mistakes_with_files_name_file_and_key(tmp_path, path, expected):
    (tmp_path / "data.csv").write_text("id,text\n")
    (tmp_path / "folder").mkdir()
    data = jsonl(ROWS * 100)
    if path.startswith("cut"):
        compress = gzip.compress if path.endswith("gz") else zstandard.compress
        (tmp_path / path).write_bytes(compress(data)[:-20])
    (tmp_path / "not.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError) as caught:
        read(tmp_path, path)
    assert expected in str(caught.value)
    assert "sources.s.path" in str(caught.value)
    assert path.split("*")[-1] in str(caught.value)


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_a_mapped_field_that_no_row_has(tmp_path, name):
    rows = [{"uid": "1", "content": "words", "meta": {"path": "p"}}] * 3
    (tmp_path / "a.jsonl").write_bytes(jsonl(rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    with pytest.raises(UserError) as caught:
        read(tmp_path, name, id="meta.pth", text="contents")
    message = str(caught.value)
    assert "sources.s.fields.text: 'contents' (did you mean 'content'?)" in message
    assert "sources.s.fields.id: 'meta.pth' (did you mean 'meta.path'?)" in message
    assert "Fields present: uid, content, meta, meta.path" in message
    assert len(read(tmp_path, name, id="meta.path", text="content")) == 3


def test_a_field_that_some_rows_have_is_left_to_the_rows(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(jsonl([{"id": 1}] * 99 + [{"id": 2, "text": "here"}]))
    assert len(read(tmp_path, "a.jsonl")) == 100


def test_a_map_without_content_is_refused(tmp_path):
    with pytest.raises(UserError, match="neither 'text' nor 'messages'"):
        read(tmp_path, "a.jsonl", text=None, messages=None)


def record(row, **fields):
    return to_record(row, "s", "agent", source("x", **fields).fields)


def test_dotted_paths_and_ids():
    row = {"meta": {"path": "a/b", "deep": {"text": "words"}}, "a.b": 7}
    mapped = record(row, id="a.b", text="meta.deep.text", meta="meta.deep")
    assert mapped["id"] == "7"
    assert mapped["text"] == "words"
    assert mapped["meta"] == {"text": "words"}


def test_a_generated_id_depends_on_the_content_alone():
    first, same, other = (
        record({"id": i, "text": t}, id=None) for i, t in [(1, "a"), (2, "a"), (3, "b")]
    )
    assert first["id"] == same["id"] != other["id"]
    assert first["id"].startswith("s-")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ([1], Reason.NOT_AN_OBJECT),
        ({"text": "words"}, Reason.MISSING_FIELD),
        ({"id": "", "text": "words"}, Reason.MISSING_FIELD),
        ({"id": "a"}, Reason.MISSING_FIELD),
        ({"id": True, "text": "words"}, Reason.WRONG_TYPE),
        ({"id": "a", "text": 5}, Reason.WRONG_TYPE),
        ({"id": "a", "text": "words", "meta": "m"}, Reason.WRONG_TYPE),
        ({"id": "a", "text": " \n"}, Reason.EMPTY_TEXT),
        ({"id": "a", "messages": [{"role": "user", "content": " "}]}, Reason.EMPTY_TEXT),
        ({"id": "a", "messages": []}, Reason.INVALID_MESSAGES),
        ({"id": "a", "messages": "[{"}, Reason.INVALID_MESSAGES),
    ],
)
def test_reasons(row, reason):
    with pytest.raises(RowError) as caught:
        record(row)
    assert caught.value.reason == reason


def test_messages_come_to_one_form():
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"function": {"name": "ls", "arguments": {"path": "ü"}}},
                {"function": {"name": "pwd"}},
            ],
        },
        {"role": "tool", "content": "x"},
        {"role": "tool", "content": "y"},
    ]
    user, assistant, first, second = clean_messages(json.dumps(messages))
    assert user == {"role": "user", "content": "a\nb"}
    assert assistant["content"] == ""
    assert assistant["tool_calls"][0]["function"]["arguments"] == '{"path": "ü"}'
    assert assistant["tool_calls"][1]["function"]["arguments"] == ""
    assert (first["tool_call_id"], second["tool_call_id"]) == ("call_0", "call_1")


def test_clean_messages_stay_as_they_are():
    messages = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "u"},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "content": "t", "tool_call_id": "c1"},
    ]
    assert clean_messages(messages) == messages


@pytest.mark.parametrize(
    ("message", "detail"),
    [
        ("hello", "message 0 is text"),
        ({"role": "human", "content": "x"}, "role 'human'"),
        ({"role": "user", "content": None}, "content of type null"),
        ({"role": "user", "content": [{"type": "image_url"}]}, "part 'image_url'"),
        ({"role": "user", "content": "x", "tool_calls": [CALL]}, "in an assistant message"),
        ({"role": "assistant", "content": "x", "tool_calls": [{"id": "c"}]}, "no function"),
    ],
)
def test_messages_that_are_wrong(message, detail):
    with pytest.raises(RowError, match=detail) as caught:
        clean_messages([message])
    assert caught.value.reason == Reason.INVALID_MESSAGES
