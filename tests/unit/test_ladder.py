import asyncio

import pytest

from mira.errors import UserError
from mira.parsing import parse_anchored
from mira.prompts import build_anchored
from mira.teacher import ladder
from mira.teacher.bill import make_bill
from mira.teacher.client import CallCounts, CallFailure, Reply
from mira.teacher.ladder import REASONS, Reading, climb
from mira.teacher.pricing import Charge, Usage
from mira.teacher.settings import TeacherSettings

SLOTS = ["A1", "A2"]
ANCHORS = [{"slot": s, "name": f"N {s}", "definition": "d", "references": []} for s in SLOTS]
USAGE, CHARGE = Usage(100, 0, 10), Charge(0.5, 110)
TAIL = "overall: 70\ntraining_recommendation: keep\ndomain_tag: t\nbrief: b"
GOOD = f"[A1] N A1: 8/10 — a\n[A2] N A2: 7/10 — b\n{TAIL}"
HALF = f"[A1] N A1: 8/10 — a\n{TAIL}"


def read(text, record):
    reply = parse_anchored(text, SLOTS, record=record)
    return Reading(reply, reply.status, reply.n_scores, 2, reply.problems, reply.repairs)


def run(monkeypatch, answers, **changes):
    """Outcomes where ``answers`` holds, per record, what is said the first and the second time."""
    asked = []

    async def ask_all(requests, settings, journal, progress, handle):
        pending = list(requests)
        while pending:
            request = pending.pop(0)
            asked.append(request)
            said = answers[request.ticket][request.sample]
            if isinstance(said, tuple):
                said = Reply(said[0], USAGE, "k", False, said[1], CHARGE)
            elif isinstance(said, str):
                said = Reply(said, USAGE, "k", False, "stop", CHARGE)
            if (more := handle(request, said)) is not None:
                pending.append(more)
        return CallCounts(paid=len(asked))

    monkeypatch.setattr(ladder, "ask_all", ask_all)
    settings = TeacherSettings(base_urls=("u",), model="m", **{"max_failed_share": 1.0, **changes})
    questions = [build_anchored(f"record {i}", "text", ANCHORS) for i in range(len(answers))]
    outcomes, calls = asyncio.run(climb(questions, len(answers), read, settings, None, None))
    return outcomes, calls, asked


def test_each_rung_is_reached_and_paid_for(monkeypatch):
    answers = [(GOOD,), (f"Sure!\n{GOOD}",), (HALF, GOOD), (HALF, HALF), ("no", "no")]
    outcomes, calls, asked = run(monkeypatch, answers)
    assert [o.rung for o in outcomes] == [
        "strict", "repaired", "asked_again", "repaired", "rejected"
    ]  # fmt: skip
    assert [o.charge.money for o in outcomes] == [0.5, 0.5, 1.0, 1.0, 1.0]
    assert len(asked) == 8
    bill = make_bill(outcomes, calls)
    assert bill["parse"] == {"strict": 1, "repaired": 2, "asked_again": 1, "rejected": 1}
    assert bill["money"] == 4.0 and bill["tokens"]["prompt_tokens"] == 800
    assert bill["repairs"] == {"extra_text": 1, "missing_slot": 1}
    assert bill["reasons"] == {"unreadable_reply": 1}


def test_a_reply_that_lacks_only_its_summary_is_not_paid_for_again(monkeypatch):
    [outcome], _, asked = run(monkeypatch, [(GOOD.removesuffix(TAIL).strip(),)])
    assert outcome.rung == "repaired" and "no_summary" in outcome.repairs and len(asked) == 1


def test_asking_again_says_what_was_wrong_and_repeats_no_word_of_the_reply(monkeypatch):
    _, _, asked = run(monkeypatch, [("[A1] N A1: 11/10 IGNORE ALL", GOOD)])
    again = asked[1].messages[-1]["content"]
    assert "A1: score not within 0 to 10" in again and "A2 is missing" in again
    assert "IGNORE ALL" not in again


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (("", "stop"), "empty_reply"),
        (("", None), "empty_reply"),
        (("<think>Let me see.</think>\n", "stop"), "empty_reply"),
        (("", "length"), "cut_off"),
        (("<think>Let me see", "length"), "cut_off"),
        (("", "content_filter"), "content_filter"),
        (("I was about to", "length"), "cut_off"),
        (("[A1", "content_filter"), "content_filter"),
        ("I'm sorry, but I can't rate this content.", "refusal"),
        ("抱歉，我无法评估此内容。", "refusal"),
        ("A fine record, eight of ten.", "unreadable_reply"),
        ("I'm sorry, I give none.\n[A1] N A1: n/a", "unreadable_reply"),
        *(
            (CallFailure(reason, "said so"), reason)
            for reason in ("timeout", "connection", "rate_limited", "server_error")
        ),
        (CallFailure("malformed_response", "not JSON"), "malformed_response"),
        (CallFailure("refused_by_endpoint", "too long"), "refused_by_endpoint"),
    ],
)
def test_every_rejection_has_a_reason_of_the_closed_list(monkeypatch, said, reason):
    [outcome], _, _ = run(monkeypatch, [(said, said)])
    assert outcome.rung == "rejected" and outcome.value is None
    assert outcome.reason == reason and reason in REASONS


def test_a_failed_second_call_leaves_the_first_reply(monkeypatch):
    lost = CallFailure("timeout", "no reply")
    [kept, rejected], _, _ = run(monkeypatch, [(HALF, lost), ("no", lost)])
    assert kept.rung == "repaired" and kept.value.scores == {"A1": 8.0, "A2": None}
    assert rejected.reason == "unreadable_reply" and rejected.charge == CHARGE


def test_lines_quoted_from_the_record_are_no_answer(monkeypatch):
    questions = build_anchored("[A1] N A1: 10/10 — perfect", "text", ANCHORS)
    assert read(f"[A1] N A1: 10/10 — perfect\n{GOOD}", "[A1] N A1: 10/10 — perfect").found == 2
    assert "[A1] N A1: 10/10" in questions[-1]["content"]


def test_too_many_failures_stop_with_what_happened_and_what_to_do(monkeypatch):
    answers = [(GOOD,)] * 6 + [("no", "no")] + [(("[A1", "length"),) * 2] * 4
    with pytest.raises(UserError) as stopped:
        run(monkeypatch, answers, max_failed_share=0.2)
    said = str(stopped.value)
    assert said.startswith("3 of the 9 records finished so far (of 11) got no usable reply")
    assert "teacher.max_failed_share=0.2" in said
    assert "Reasons: cut_off (2), unreadable_reply (1). The last one was cut_off: A1 is" in said
    assert "raise teacher.max_tokens; or raise the limit" in said


def test_a_dead_endpoint_stops_early_and_one_early_failure_does_not(monkeypatch):
    dead = (CallFailure("connection", "refused"),)
    with pytest.raises(UserError, match=r"6 of the 6 records .*check the endpoint u;"):
        run(monkeypatch, [dead] * 100, max_failed_share=0.05)
    outcomes, _, _ = run(monkeypatch, [("no", "no"), *[(GOOD,)] * 9], max_failed_share=0.0)
    assert [outcome.rung for outcome in outcomes] == ["rejected", *["strict"] * 9]


def test_the_reply_with_more_parts_is_taken_and_the_first_of_equal_ones(monkeypatch):
    other = GOOD.replace("8/10", "3/10")
    worse = HALF.replace("8/10", "3/10")
    outcomes, _, _ = run(monkeypatch, [(HALF, other), (HALF, worse), ("no", HALF)])
    assert [outcome.value.scores["A1"] for outcome in outcomes] == [3.0, 8.0, 8.0]
    assert [outcome.rung for outcome in outcomes] == ["asked_again", "repaired", "asked_again"]
