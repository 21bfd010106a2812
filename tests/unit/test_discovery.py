import asyncio
import json

import pandas as pd
import pytest

from mira import discovery
from mira.discovery import discover
from mira.errors import UserError
from mira.prompts import build_freeform, fit_text, prompt_hash
from mira.teacher import ladder
from mira.teacher.client import CallCounts, CallFailure, Reply
from mira.teacher.pricing import Usage
from mira.teacher.settings import TeacherSettings

SETTINGS = TeacherSettings(base_urls=("http://127.0.0.1:9/v1",), model="m", max_failed_share=0.5)


def records(n=6):
    rows = [(f"id{i}", f"src{i % 2}", "text", f"record {i}") for i in range(n)]
    return pd.DataFrame(rows, columns=["id", "source", "family", "text"]).sample(
        frac=1, random_state=3
    )


def points_reply(n=3):
    points = [{"dimension": f"d{i}", "score": i, "reason": "seen"} for i in range(n)]
    return json.dumps({"points": points})


@pytest.fixture
def teacher(monkeypatch):
    """Replaces the network: ``answer(user message, sample)`` gives a text or a CallFailure."""

    def install(answer):
        async def ask_all(requests, settings, journal, progress, handle):
            asked = list(requests)[::-1]
            counts = CallCounts()
            while asked:
                request = asked.pop(0)
                said = answer(request.messages[-1]["content"], request.sample)
                counts.paid += 1
                reply = said
                if isinstance(said, str):
                    reply = Reply(said, Usage(10, 0, 1), "k", False, "stop")
                if (more := handle(request, reply)) is not None:
                    asked.append(more)
            return counts

        monkeypatch.setattr(ladder, "ask_all", ask_all)

    return install


def run(frame, **changes):
    options = {"n_dimensions": 3, **changes}
    return asyncio.run(discover(frame, SETTINGS, None, **options))


def test_points_come_out_by_source_and_id_with_the_hash_of_their_prompt(teacher):
    teacher(lambda user, sample: points_reply())
    found = run(records())
    assert [(row["source"], row["id"]) for row in found.points[::3]] == [
        (f"src{i % 2}", f"id{i}") for i in (0, 2, 4, 1, 3, 5)
    ]
    assert found.points[1] == {
        "id": "id0",
        "source": "src0",
        "dimension": "d1",
        "score": 1.0,
        "reason": "seen",
        "prompt_hash": prompt_hash(build_freeform("record 0", "text", 3)),
    }
    assert found.counts["points"] == 18 and found.counts["parse"]["strict"] == 6
    assert found.rejected == []


def test_the_ladder_is_climbed_and_counted(teacher):
    def answer(user, sample):
        if "record 0\n" in user:
            return "no idea" if sample == 0 else points_reply()
        if "record 1\n" in user:
            return CallFailure("timeout", "no reply within 1 s")
        if "record 2\n" in user:
            return points_reply(2) if sample == 0 else "no idea"
        if "record 3\n" in user:
            return "no idea"
        return "```json\n" + points_reply() + "\n```" if "record 4\n" in user else points_reply()

    teacher(answer)
    found = run(records())
    assert found.counts["parse"] == {"strict": 1, "repaired": 2, "asked_again": 1, "rejected": 2}
    assert found.counts["records"] == found.counts["judged"] + found.counts["rejected"]
    rows = [(row["id"], row["reason"]) for row in found.rejected]
    assert rows == [("id1", "timeout"), ("id3", "unreadable_reply")]
    assert "0 valid points instead of 3" in found.rejected[1]["detail"]
    assert sum(row["id"] == "id2" for row in found.points) == 2


def test_long_texts_are_shown_head_and_tail(teacher):
    seen = []
    teacher(lambda user, sample: seen.append(user) or points_reply())
    frame = records(1).assign(text="x" * 5000)
    run(frame, max_chars=300)
    assert fit_text("x" * 5000, 300) in seen[0] and len(seen[0]) < 800


def test_too_many_rejected_records_stop_the_stage(teacher):
    teacher(lambda user, sample: CallFailure("connection", "refused"))
    with pytest.raises(UserError, match="max_failed_share"):
        run(records())


def test_one_rejected_record_never_stops_the_stage(teacher):
    teacher(lambda user, sample: "no idea")
    assert run(records(1)).counts["rejected"] == 1


def test_the_stage_has_a_version():
    assert isinstance(discovery.STAGE_VERSION, int)
