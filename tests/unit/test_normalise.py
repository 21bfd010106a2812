import json

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mira.config import Source
from mira.errors import UserError
from mira.io import read_parquet, write_parquet
from mira.records import render
from mira.sampling.fields import Reason, RowError
from mira.sampling.normalise import (
    KEPT_DTYPES,
    REJECTED_DTYPES,
    Limits,
    check_rejected_share,
    check_unique_ids,
    fit,
    normalise_source,
)
from mira.sampling.readers import Row, read_source

LIMITS = Limits(min_chars=3, max_chars=100, on_too_long="reject")
TEXT = Source(family="text", path="a.jsonl")


def count_words(texts):
    return [len(text.split()) for text in texts]


def rows(*values):
    return [Row("a.jsonl", i, value) for i, value in enumerate(values, start=1)]


def normalise(values, limits=LIMITS):
    return normalise_source(values, "s", TEXT, limits, count_words)


def test_kept_and_rejected_rows():
    failure = RowError(Reason.MALFORMED_JSON, "unexpected end")
    values = [
        *rows({"id": "a", "text": "one two three", "meta": {"k": 1}}, {"id": "a", "text": "again"}),
        *rows({"id": 5}, {"id": "b", "text": "xy"}, {"id": "c", "text": "x" * 101}),
        Row("a.jsonl", 9, None, failure),
        *rows({"id": "d", "messages": [{"role": "user", "content": "hi"}]}),
    ]
    kept, rejected = normalise(values)
    assert kept["id"].tolist() == ["a", "d"]
    assert kept["text"].tolist() == ["one two three", "<|user|>\nhi"]
    assert kept["n_chars"].tolist() == [13, 11]
    assert kept["n_tokens"].tolist() == [3, 2]
    assert json.loads(kept["meta"][0]) == {"k": 1}
    assert kept["messages"].isna().tolist() == [True, False]
    assert rejected["reason"].tolist() == [
        "duplicate_id",
        "missing_field",
        "too_short",
        "too_long",
        "malformed_json",
    ]
    assert rejected["line"].tolist() == [2, 1, 2, 3, 9]
    assert rejected["id"].fillna("").tolist() == ["a", "5", "b", "c", ""]
    assert set(rejected["file"]) == {"a.jsonl"}


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    lines=st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.from_regex(
                rb'\{"id": ?("a"|1|null), "(text|messages)": ?("\w{1,9}"|\[\]|\[\{\}\])\}'
            ),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
                lambda inner: (
                    st.lists(inner, max_size=3)
                    | st.dictionaries(st.sampled_from(["id", "text", "messages", "meta"]), inner)
                ),
                max_leaves=6,
            ).map(lambda value: json.dumps(value).encode()),
        ),
        max_size=12,
    )
)
def test_any_bytes_are_kept_or_rejected(tmp_path, lines):
    data = b"\n".join([b'{"id": "first", "text": "enough words"}', *lines])
    (tmp_path / "a.jsonl").write_bytes(data)
    kept, rejected = normalise(read_source("s", TEXT, tmp_path))
    assert len(kept) + len(rejected) == sum(bool(line.strip()) for line in data.split(b"\n"))
    assert kept["id"].is_unique
    assert list(kept.columns) == list(KEPT_DTYPES)
    assert set(rejected["reason"]) <= set(map(str, Reason))


def test_meta_nested_too_deeply_is_rejected():
    meta: dict = {}
    for _ in range(500):
        meta = {"m": meta}
    kept, rejected = normalise(rows({"id": "a", "text": "words", "meta": meta}))
    assert len(kept) == 0
    assert rejected["reason"].tolist() == ["wrong_type"]


def test_empty_results_keep_their_types(tmp_path):
    kept, rejected = normalise([])
    for frame, dtypes in ((kept, KEPT_DTYPES), (rejected, REJECTED_DTYPES)):
        write_parquet(frame, tmp_path / "a.parquet")
        assert read_parquet(tmp_path / "a.parquet").dtypes.astype(str).to_dict() == dtypes


@given(
    text=st.text(st.sampled_from("ab \n"), min_size=101, max_size=400),
    max_chars=st.integers(10, 100),
)
def test_cut_text_is_a_prefix_within_the_limit(text, max_chars):
    record = {"id": "a", "source": "s", "family": "text", "text": text, "meta": {"k": 1}}
    cut, rendered = fit(record, Limits(1, max_chars, "cut"))
    assert text.startswith(rendered)
    assert max_chars / 2 <= len(rendered) <= max_chars
    assert cut["meta"] == {"k": 1, "truncated": True}
    assert record["meta"] == {"k": 1}


def test_text_is_cut_at_a_line_end():
    record = {"id": "a", "text": "line number one\n" * 10}
    assert fit(record, Limits(1, 60, "cut"))[1] == "\n".join(["line number one"] * 3)


def test_messages_are_cut_between_messages():
    turn = [{"role": "user", "content": "q" * 20}, {"role": "assistant", "content": "a" * 20}]
    record = {"id": "a", "source": "s", "family": "qa", "messages": turn * 3}
    whole_turn = len(render({"messages": turn}))
    for extra in (0, 35):
        cut, rendered = fit(record, Limits(1, whole_turn + extra, "cut"))
        assert cut["messages"] == turn
        assert len(rendered) == whole_turn
    with pytest.raises(RowError) as caught:
        fit(record, Limits(1, whole_turn - 1, "cut"))
    assert caught.value.reason == Reason.TOO_LONG


def test_too_many_rejected_rows_stop_the_source():
    kept, rejected = normalise(rows({"id": "a", "text": "words"}, {"id": "b"}, {"id": "c"}))
    check_rejected_share("s", len(kept), rejected, limit=0.7)
    with pytest.raises(UserError) as caught:
        check_rejected_share("s", len(kept), rejected, limit=0.5)
    message = str(caught.value)
    assert "2 of 3 rows" in message
    assert "a.jsonl:2: missing_field" in message
    assert "Expected: an id, and text or messages" in message
    assert "sampling.max_rejected_share" in message


def test_a_source_without_records_stops():
    with pytest.raises(UserError, match="no rows"):
        check_rejected_share("s", 0, normalise([])[1], limit=1.0)
    with pytest.raises(UserError, match="1 of 1 rows"):
        check_rejected_share("s", 0, normalise(rows(7))[1], limit=1.0)


def test_ids_shared_by_two_sources():
    frames = [pd.DataFrame({"id": ["a", i], "source": i}) for i in ("x", "y")]
    with pytest.raises(UserError, match=r"'x' and 'y' both .* 'a'"):
        check_unique_ids(frames)
    check_unique_ids([frame.iloc[1:] for frame in frames])
