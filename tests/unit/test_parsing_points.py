import json

import pytest

from mira.parsing import REPAIRS, parse_points
from mira.prompts import fence


def points(n=15, **changes):
    rows = [{"dimension": f"d{i}", "score": i % 11, "reason": f"saw {i}"} for i in range(n)]
    rows[0].update(changes)
    return rows


def reply(rows):
    return json.dumps({"points": rows})


def test_the_json_object_is_strict():
    read = parse_points(reply(points()), 15)
    assert (read.points, read.status) == (points(), "strict")
    assert read.problems == [] and read.repairs == ()


@pytest.mark.parametrize(
    ("text", "repairs"),
    [
        ("```json\n" + json.dumps({"points": points()}, indent=1) + "\n```", ("not_alone",)),
        ("Here it is: " + reply(points()) + " Done.", ("not_alone",)),
        ('Use {braces} and 5" quotes.\n' + reply(points()), ("not_alone",)),
        (json.dumps(points()), ("not_alone",)),
        ("\n".join(json.dumps(point) for point in points()), ("not_alone",)),
        (
            reply(points()).replace('"}', '",}').replace("}]", "},]"),
            ("not_alone", "trailing_comma"),
        ),
        ("<think>{}</think>" + reply(points()), ("thinking", "not_alone")),
        ("\ufeff" + reply(points()), ("white_space", "not_alone")),
        (fence(reply(points(reason="x"))) + reply(points()), ("record_echo", "not_alone")),
        (reply(points()) + reply(points()), ("repeated", "not_alone")),
        (reply(points(score="0/10")), ("text_score",)),
        (reply(points(score="０ out of 10")), ("text_score",)),
    ],
)
def test_repairs_of_free_form_replies_lose_nothing_and_are_named(text, repairs):
    read = parse_points(text, 15)
    assert read.points == points() and read.status == "repaired"
    assert read.repairs == repairs


def test_a_cut_list_keeps_its_whole_points():
    whole = reply(points())
    read = parse_points(whole[: whole.index('"d9"')], 15)
    assert read.points == points()[:9] and read.status == "repaired"
    assert "9 valid points instead of 15" in read.problems
    assert read.repairs == ("not_alone", "missing_points")


def test_less_than_half_of_the_points_is_failed_and_more_are_cut():
    assert parse_points(reply(points(7)), 15).status == "failed"
    read = parse_points(reply(points(17)), 15)
    assert read.points == points(15) and read.repairs == ("extra_points",)


@pytest.mark.parametrize(
    "changes",
    [
        {"score": 11},
        {"score": -1},
        {"score": None},
        {"score": True},
        {"score": float("nan")},
        {"score": "great"},
        {"score": "7-8"},
        {"score": "7/10 or 8/10"},
        {"score": "11/10"},
        {"score": "8 of 9"},
        {"score": [8]},
        {"score": 10**400},
        {"dimension": ""},
        {"dimension": 3},
        {"reason": " "},
    ],
)
def test_invalid_points_are_left_out_and_named(changes):
    read = parse_points(reply(points(**changes)), 15)
    assert read.points == points()[1:] and read.status == "repaired" and read.problems
    assert read.repairs == ("invalid_points", "missing_points")


def test_a_dimension_with_two_scores_is_left_out_and_equal_points_are_one():
    rows = [*points(), {"dimension": "D3", "score": 9, "reason": "again"}, points()[5]]
    read = parse_points(reply(rows), 15)
    assert read.points == [p for p in points() if p["dimension"] != "d3"]
    assert read.repairs == ("repeated", "two_answers", "missing_points")


def test_a_point_that_gives_its_score_twice_is_no_answer():
    text = reply(points()).replace('"score": 3,', '"score": 3, "score": 9,')
    for twice in (text, f"Here: {text}"):
        read = parse_points(twice, 15)
        assert read.points == [p for p in points() if p["score"] != 3]


def test_the_examples_of_the_prompt_and_echoed_records_are_not_the_answer():
    example = 'Form: {"points": [{"dimension": "...", "score": 0-10, "reason": "..."}, ...]}\n'
    read = parse_points(example + reply(points()), 15)
    assert read.points == points()
    assert parse_points(fence(reply(points())), 15).points == []


def test_points_with_broken_characters_can_be_stored():
    read = parse_points(reply(points(reason="x \ud800")), 15)
    assert read.points[0]["reason"].encode()


@pytest.mark.parametrize("unit", ['{"', "{", '{"a":[', '{"dimension": ', '\\"', '{"\\"', "[", '"'])
@pytest.mark.parametrize("start", ["", '{"points": [', '{"dimension": "', "Here: "])
def test_hostile_replies_of_200_kilobytes_are_read(unit, start):
    read = parse_points(start + unit * (200_000 // len(unit)), 15)
    assert read.status == "failed" and read.points == []
    assert set(read.repairs) <= set(REPAIRS)
