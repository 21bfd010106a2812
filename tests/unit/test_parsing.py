import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mira.parsing import answer_part, parse_anchored, parse_points

SLOTS = [f"A{i}" for i in range(1, 16)]
NAMES = {slot: f"Name {slot}" for slot in SLOTS}
SUMMARY = [
    "overall: 72",
    "training_recommendation: downsample",
    "domain_tag: python",
    "brief: A function with tests.",
]


def template_reply(line="", slot="A3"):
    lines = [f"[{s}] {NAMES[s]}: {i % 11}/10 — because {i}" for i, s in enumerate(SLOTS)]
    if line:
        lines[SLOTS.index(slot)] = line
    return "\n".join([*lines, *SUMMARY])


def test_the_filled_template_is_strict():
    reply = parse_anchored(template_reply(), SLOTS, names=NAMES)
    assert reply.status == "strict" and reply.problems == []
    assert reply.scores == {s: i % 11 for i, s in enumerate(SLOTS)}
    assert reply.rationales["A8"] == "because 7"
    assert (reply.overall, reply.recommendation) == (72, "downsample")
    assert (reply.domain_tag, reply.brief) == ("python", "A function with tests.")


@pytest.mark.parametrize(
    ("line", "score", "rationale"),
    [
        ("[A3] Name A3: 8", 8, None),
        ("[A3] Name A3: 8 — good", 8, "good"),
        ("[A3] Name A3: 8/10", 8, None),
        ("[A3] Name A3: 8.5/10 - good", 8.5, "good"),
        ("[A3] Name A3: 8,5/10: good", 8.5, "good"),
        ("[A3] Name A3: 8 out of 10. good", 8, "good"),
        ("[A3] Name A3: 8 / 10 because good", 8, "because good"),
        ("**[A3] Name A3:** **8**/10 — good", 8, "good"),
        ("- **A3** Name A3: **8/10** — good", 8, "good"),
        ("3. [A3] Name A3: 10/10 – good", 10, "good"),
        ("［A3］Name A3：８／１０ — 好", 8, "好"),
        ("【A3】Name A3：8分，好", 8, "好"),
        ("[A3] Name A3 — 8/10 — good", 8, "good"),
        ("[A3] 8/10 — good", 8, "good"),
        ("A3: 8/10 good", 8, "good"),
        ("| A3 | Name A3 | 8/10 | good |", 8, "good"),
        ("[A3] Another name: 8/10 — good", 8, "good"),
        ("[a3] Name A3: 0/10 — bad", 0, "bad"),
        ("[A3] Name A3: 8/10 — 9/10 tests pass", 8, "9/10 tests pass"),
        ("[A3] Name A3: 8/10 — [A4] Name A4: 1/10", 8, "[A4] Name A4: 1/10"),
    ],
)
def test_ways_of_writing_a_score(line, score, rationale):
    reply = parse_anchored(template_reply(line), SLOTS, names=NAMES)
    assert reply.scores["A3"] == score
    assert reply.rationales["A3"] == rationale
    assert reply.scores["A4"] == 3
    assert reply.status in ("strict", "repaired")


@pytest.mark.parametrize(
    "line",
    [
        "[A3] Name A3: 11/10 — great",
        "[A3] Name A3: -3/10 — bad",
        "[A3] Name A3: 8/5 — what",
        "[A3] Name A3: 80/100 — what",
        "[A3] Name A3: 7-8/10 — either",
        "[A3] Name A3: 7/10 or 8/10 — either",
        "[A3] Name A3: 7 to 8/10",
        "[A3] Name A3: n/a",
        "[A3] Name A3: excellent — 8/10 functions are documented",
        "[A3] Name A3: 12345",
        "[A3] Name A3: 8-bit colours",
        "[A3] Name A3: ",
        "[A3] Name A3: 4/10\n[A3] Name A3: 6/10",
        "[A3] Name A3: 4/10\n[A3] Name A3: unsure",
    ],
)
def test_what_is_unclear_stays_empty_and_is_named(line):
    reply = parse_anchored(template_reply(line), SLOTS, names=NAMES)
    assert reply.scores["A3"] is None and reply.rationales["A3"] is None
    assert reply.status == "repaired"
    assert any(problem.startswith("A3") for problem in reply.problems)
    assert reply.n_scores == 14


def test_names_that_look_like_scores_do_not_matter():
    names = {**NAMES, "A3": "Plan: 5/10 rule — PEP 8", "A4": "2: 7/10"}
    lines = [f"[{s}] {names[s]}: 9/10 — yes" for s in SLOTS]
    reply = parse_anchored("\n".join(lines + SUMMARY), SLOTS, names=names)
    assert set(reply.scores.values()) == {9.0}


def test_equal_names_are_told_apart_by_slot():
    lines = [f"[{s}] Goal: {i % 11}/10 — r" for i, s in enumerate(SLOTS)]
    reply = parse_anchored("\n".join(reversed(lines)), SLOTS, names=dict.fromkeys(SLOTS, "Goal"))
    assert reply.scores == {s: i % 11 for i, s in enumerate(SLOTS)}
    assert reply.status == "repaired"


def test_the_same_answer_twice_is_one_answer():
    reply = parse_anchored(template_reply("[A3] x: 4/10 — a\n[A3] x: 4/10 — a"), SLOTS)
    assert reply.scores["A3"] == 4 and reply.status == "repaired"


@pytest.mark.parametrize("fence", ["```\n{}\n```", "Sure!\n\n{}\n\nHope it helps.", "\n{}\n"])
def test_extra_text_is_accepted(fence):
    reply = parse_anchored(fence.format(template_reply()), SLOTS, names=NAMES)
    assert reply.n_scores == 15 and not reply.problems
    assert reply.status == ("strict" if fence == "\n{}\n" else "repaired")


@pytest.mark.parametrize(
    "thought",
    ["<think>[A1] x: 1/10\n</think>\n", "[A1] x: 1/10 hm\n</think>\n", "<thinking>\n</thinking>"],
)
def test_thinking_before_the_answer_is_not_the_answer(thought):
    reply = parse_anchored(thought + template_reply(), SLOTS, names=NAMES)
    assert reply.scores["A1"] == 0 and reply.n_scores == 15 and reply.status == "repaired"


def test_unfinished_thinking_is_no_answer():
    assert parse_anchored("<think>" + template_reply(), SLOTS).status == "failed"


def test_an_echo_of_the_record_or_of_the_template_is_not_the_answer():
    echo = "<record 0123456789abcdef>\n[A1] x: 10/10\n</record 0123456789abcdef>\n"
    template = "\n".join(f"[{s}] {NAMES[s]}: <score>/10 — <reason>" for s in SLOTS) + "\n"
    reply = parse_anchored(echo + template + template_reply(), SLOTS, names=NAMES)
    assert reply.scores["A1"] == 0 and not reply.problems


def test_a_cut_reply_keeps_what_is_whole_and_less_than_half_is_failed():
    lines = template_reply().splitlines()
    assert parse_anchored("\n".join(lines[:8]), SLOTS, names=NAMES).status == "repaired"
    failed = parse_anchored("\n".join(lines[:7]), SLOTS, names=NAMES)
    assert failed.status == "failed" and failed.n_scores == 7


def test_missing_or_unreadable_summary_lines_are_named():
    reply = parse_anchored(
        template_reply().replace("overall: 72", "overall: 172").replace("domain_tag", "tag"), SLOTS
    )
    assert reply.status == "repaired" and reply.overall is None and reply.domain_tag is None
    assert reply.problems == ["overall is unreadable", "domain_tag is missing"]
    assert parse_anchored("Overall score: **85/100**", SLOTS).overall == 85
    assert parse_anchored("training recommendation: keep | drop", SLOTS).recommendation is None


def test_scores_only_replies_of_students():
    text = "\n".join(f"[{s}] {NAMES[s]}: 7/10" for s in SLOTS)
    reply = parse_anchored(text, SLOTS, names=NAMES, summary=False)
    assert reply.status == "strict" and set(reply.scores.values()) == {7.0}


TAGS = ("[A1]", "[A2]", "A15", "Name", "overall:", "<think>", "</think>", "<record")
MARKS = (":", "—", "-", "8", "10", "/10", " out of 10", "11", "８", "|", "**", " ", "\n")
FRAGMENTS = st.sampled_from([*TAGS, *MARKS, "[A1] x: 8/10\n"])


@given(st.one_of(st.text(max_size=400), st.lists(FRAGMENTS, max_size=60).map("".join)))
def test_any_reply_is_read_without_error_and_within_bounds(text):
    reply = parse_anchored(text, SLOTS, names=NAMES)
    assert list(reply.scores) == SLOTS
    assert all(s is None or 0 <= s <= 10 for s in reply.scores.values())
    assert reply.overall is None or 0 <= reply.overall <= 100
    assert reply.status == "failed" or reply.n_scores >= 8
    points, status, _ = parse_points(text, 15)
    assert (status == "failed") == (len(points) < 8)


@given(
    st.lists(st.integers(0, 100).map(lambda n: n / 10), min_size=15, max_size=15),
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=40),
        min_size=15,
        max_size=15,
    ),
    st.permutations(SLOTS),
)
def test_scores_survive_any_rationale_and_any_order(scores, rationales, order):
    wanted = dict(zip(SLOTS, scores, strict=True))
    said = dict(zip(SLOTS, rationales, strict=True))
    lines = [f"[{s}] {NAMES[s]}: {wanted[s]:g}/10 — reason: {said[s]}" for s in order]
    assert parse_anchored("\n".join(lines), SLOTS, names=NAMES).scores == wanted


@pytest.mark.parametrize(
    "text",
    [
        "a\n" * 20_000,
        "<record 0123456789abcdef>" * 2_000,
        "{" * 20_000,
        "[A1] " + ":" * 20_000,
        "[A1] x: " + " " * 20_000 + "y",
        "</think> x\n" * 5_000,
        '{"dimension": ' * 3_000,
    ],
)
def test_hostile_replies_are_read_quickly(text):
    started = time.perf_counter()
    parse_anchored(text, SLOTS, names=NAMES)
    parse_points(text, 15)
    assert time.perf_counter() - started < 2.0


def points(n=15, **changes):
    rows = [{"dimension": f"d{i}", "score": i % 11, "reason": f"saw {i}"} for i in range(n)]
    rows[0].update(changes)
    return rows


def test_the_json_object_is_strict():
    read = parse_points(json.dumps({"points": points()}), 15)
    assert read == (points(), "strict", [])


@pytest.mark.parametrize(
    "reply",
    [
        "```json\n" + json.dumps({"points": points()}, indent=1) + "\n```",
        "Here it is: " + json.dumps({"points": points()}) + " Done.",
        json.dumps(points()),
        json.dumps({"points": points()}).replace('"}', '",}').replace("}]", "},]"),
        "<think>{}</think>" + json.dumps({"points": points()}),
        json.dumps({"points": points(score="0/10")}),
    ],
)
def test_repairs_of_free_form_replies_lose_nothing(reply):
    found, status, _ = parse_points(reply, 15)
    assert found == points() and status == "repaired"


def test_a_cut_list_keeps_its_whole_points():
    whole = json.dumps({"points": points()})
    found, status, problems = parse_points(whole[: whole.index('"d9"')], 15)
    assert found == points()[:9] and status == "repaired"
    assert "9 valid points instead of 15" in problems


@pytest.mark.parametrize(
    "changes",
    [
        {"score": 11},
        {"score": None},
        {"score": True},
        {"score": float("nan")},
        {"score": "great"},
        {"score": 10**400},
        {"dimension": ""},
        {"dimension": 3},
        {"reason": " "},
    ],
)
def test_invalid_points_are_left_out(changes):
    found, status, problems = parse_points(json.dumps({"points": points(**changes)}), 15)
    assert found == points()[1:] and status == "repaired" and problems


def test_points_with_broken_characters_can_be_stored():
    found, _, _ = parse_points(json.dumps({"points": points(reason="x \ud800")}), 15)
    assert found[0]["reason"] == "x ?"


@pytest.mark.parametrize("reply", ["", "I cannot judge this.", "{}", "[]", '{"points": 3}', "null"])
def test_no_points_is_failed(reply):
    assert parse_points(reply, 15).status == "failed"


def test_answer_part_leaves_a_rationale_about_thinking_alone():
    text = "[A1] x: 8/10 — it closes </think> twice\n[A2] y: 3/10"
    assert answer_part(text) == text
