import asyncio

import pandas as pd
import pytest

from mira.config import Labelling, Prices
from mira.errors import UserError
from mira.io import read_parquet, write_parquet
from mira.labelling import label, label_dtypes
from mira.labelling.stage import _add
from mira.prompts import build_anchored, prompt_hash
from mira.teacher import ladder
from mira.teacher.client import CallCounts, CallFailure, Reply
from mira.teacher.pricing import Usage, charge_of
from mira.teacher.settings import TeacherSettings

SETTINGS = TeacherSettings(base_urls=("http://127.0.0.1:9/v1",), model="m", max_failed_share=1.0)
SLOTS = [f"A{i}" for i in range(1, 16)]
ANCHORS = [{"slot": s, "name": f"N {s}", "definition": "d", "references": []} for s in SLOTS]
PRICES = Prices(input=1.0, cached_input=0.0, output=10.0)
USAGE = Usage(1000, 0, 100)


def records(n=4):
    rows = [
        (f"id{i}", f"src{i % 2}", "qa", "train" if i else "validation", f"record {i}")
        for i in range(n)
    ]
    return pd.DataFrame(rows, columns=["id", "source", "family", "split", "text"])


def full_reply(without=()):
    lines = [f"[{s}] N {s}: {i % 11}/10 — saw {i}" for i, s in enumerate(SLOTS) if s not in without]
    tail = ["overall: 70", "training_recommendation: keep", "domain_tag: t", "brief: b"]
    return "\n".join([*lines, *tail])


def run(monkeypatch, answer, frame, calls=None):
    async def ask_all(requests, settings, journal, progress, handle):
        asked = list(requests)[::-1]
        while asked:
            request = asked.pop()
            said = answer(request.messages[-1]["content"], request.sample)
            reply = said
            if isinstance(said, str):
                reply = Reply(said, USAGE, "k", False, "stop", charge_of(USAGE, PRICES))
            if (more := handle(request, reply)) is not None:
                asked.insert(0, more)
        return calls or CallCounts()

    monkeypatch.setattr(ladder, "ask_all", ask_all)
    return asyncio.run(label(frame, ANCHORS, SETTINGS, None, group="g1"))


def test_a_label_row_holds_what_the_contract_names(monkeypatch, tmp_path):
    labelled = run(monkeypatch, lambda user, sample: full_reply(), records())
    write_parquet(labelled.labels, tmp_path / "labels.parquet")
    labels = read_parquet(tmp_path / "labels.parquet")
    assert list(labels.columns) == list(label_dtypes(SLOTS))
    assert labels["id"].tolist() == ["id0", "id2", "id1", "id3"]
    row = labels.iloc[0]
    assert (row["split"], row["s1"], row["s15"], row["r15"]) == ("validation", 0, 3, "saw 14")
    assert labels["round"].tolist() == [0] * 4
    assert (row["overall"], row["recommendation"], row["parse"]) == (70, "keep", "strict")
    assert row["raw"] == full_reply()
    assert row["prompt_hash"] == prompt_hash(build_anchored("record 0", "qa", ANCHORS))
    assert (row["prompt_tokens"], row["completion_tokens"]) == (1000, 100)
    assert row["cost"] == pytest.approx(0.002)


def test_every_record_is_labelled_or_rejected_and_slots_stay_null(monkeypatch):
    def answer(user, sample):
        if "record 0\n" in user:
            return full_reply(without=("A4",) if sample == 0 else ("A4", "A5"))
        if "record 1\n" in user:
            return full_reply(without=SLOTS[:10]) if sample == 0 else full_reply()
        return CallFailure("server_error", "500") if "record 2\n" in user else "I refuse."

    labelled = run(monkeypatch, answer, records(), CallCounts(paid=5, from_journal=1, failed=1))
    labels = labelled.labels.set_index("id")
    assert labels["parse"].to_dict() == {"id0": "repaired", "id1": "asked_again"}
    assert labels.loc["id0", ["s4", "r4"]].isna().all() and labels.loc["id0", "s5"] == 4
    assert labels.loc["id1", "prompt_tokens"] == 2000
    assert labelled.rejected.values.tolist()[0] == ["id2", "src0", "g1", "server_error", "500"]
    assert labelled.rejected["id"].tolist() == ["id2", "id3"]
    assert labelled.cost["parse"] == {"strict": 0, "repaired": 1, "asked_again": 1, "rejected": 2}
    assert (labelled.cost["calls"], labelled.cost["paid_calls"]) == (6, 5)
    assert labelled.cost["tokens"]["prompt_tokens"] == 6000
    assert labelled.cost["money"] == pytest.approx(0.012)


def test_what_was_wrong_is_said_when_asking_again(monkeypatch):
    asked = []

    def answer(user, sample):
        asked.append(user)
        return full_reply(without=("A4",)) + "\n[A5] N A5: 11/10" if sample == 0 else full_reply()

    run(monkeypatch, answer, records(1))
    assert len(asked) == 2 and asked[1].startswith(asked[0])
    assert "A4 is missing; A5: score not within 0 to 10" in asked[1]


def test_empty_tables_keep_their_columns_and_types(monkeypatch):
    labelled = run(monkeypatch, lambda *_: full_reply(), records().iloc[:0])
    assert labelled.labels.dtypes.astype(str).to_dict() == label_dtypes(SLOTS)
    assert list(labelled.rejected.columns) == ["id", "source", "group", "reason", "detail"]
    assert labelled.cost["money"] == 0


def test_by_default_all_are_asked_in_one_round(monkeypatch):
    labelled = run(monkeypatch, lambda *_: full_reply(), records(9))
    assert (labelled.cost["rounds"], labelled.cost["not_asked"]) == (1, 0)
    assert len(labelled.labels) == labelled.cost["records"] == 9


def test_a_learning_curve_needs_held_out_records():
    frame = records(4).assign(split="train")
    plan = Labelling(budget="learning_curve")
    with pytest.raises(UserError, match=r"sampling\.validation_share"):
        asyncio.run(label(frame, ANCHORS, SETTINGS, None, group="g1", plan=plan))


def test_calls_of_several_rounds_add_up():
    one = CallCounts(paid=1, from_journal=2, usage=Usage(3, 0, 4, 0))
    assert _add(one, one) == CallCounts(paid=2, from_journal=4, usage=Usage(6, 0, 8, 0))
