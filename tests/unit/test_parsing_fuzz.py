"""The parser against everything that can be rendered, mutated or made up.

The oracle of the mutation tests shares nothing with the parser: it knows only lines in exactly
the form asked for, and the numbers on a line.
"""

import json
import re
import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from mira.parsing import REPAIRS, parse_anchored, parse_points
from mira.prompts import fence

SLOTS = ["A1", "A2", "A3", "A4", "A5", "A12"]
NAMES = dict(
    zip(SLOTS, ["Aim", "Depth of work", "PEP 8", "Aim", "Plan: 5/10 rule", "清晰度"], strict=True)
)
SUMMARY = ["overall: 72", "training_recommendation: keep", "domain_tag: x", "brief: Short."]

scores_of_slots = st.fixed_dictionaries(
    {slot: st.integers(0, 100).map(lambda n: n / 10) | st.integers(0, 10) for slot in SLOTS}
)
one_line = st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=40)


def searched(max_examples=100):
    """No deadline: the machine may be busy."""
    return settings(max_examples=max_examples, deadline=None)


def read(text, **options):
    return parse_anchored(text, SLOTS, names=NAMES, **options)


def check_sound(reply):
    assert list(reply.scores) == SLOTS == list(reply.rationales)
    assert all(score is None or 0 <= score <= 10 for score in reply.scores.values())
    assert all(reply.scores[slot] is not None for slot, why in reply.rationales.items() if why)
    assert reply.overall is None or 0 <= reply.overall <= 100
    assert (reply.status == "failed") == (reply.n_scores < 3)
    assert (reply.status == "strict") == (not reply.repairs and reply.n_scores == len(SLOTS))
    assert set(reply.repairs) <= set(REPAIRS)
    for slot, score in reply.scores.items():
        named = any(re.match(rf"{slot}\b", problem) for problem in reply.problems)
        assert named == (score is None)


# --- anything --------------------------------------------------------------------------------

TAGS = ("[A1]", "[A2]", "A12", "[A3] PEP 8", "A4 Aim", "overall:", "<think>", "</think>", "<score>")
MARKS = (
    ":",
    "—",
    "-",
    "8",
    "10",
    "/10",
    " out of 10",
    "11",
    "８",
    "|",
    "**",
    " ",
    "\n",
    "分",
    "\r",
)
ECHOES = ("<record 0123456789abcdef>\n", "</record 0123456789abcdef>", "```", "{", '"', "\u200b")
fragments = st.sampled_from([*TAGS, *MARKS, *ECHOES, "[A1] Aim: 8/10 — why\n", *SUMMARY])


@searched()
@given(st.one_of(st.text(max_size=400), st.lists(fragments, max_size=60).map("".join)))
def test_any_text_is_read_without_error_and_within_bounds(text):
    check_sound(read(text))
    check_sound(parse_anchored(text, SLOTS, summary=False))
    points = parse_points(text, 15)
    assert (points.status == "failed") == (len(points.points) < 8)
    assert all(0 <= point["score"] <= 10 for point in points.points)
    assert (points.status == "strict") == (not points.repairs and not points.problems)


# --- all accepted forms ----------------------------------------------------------------------

TAG_FORMS = ("[{}]", "**[{}]**", "{}", "`{}`", "［{}］", "【{}】", "- [{}]", "* **{}**", "7. [{}]")
NAMED_FORMS = ("{} {}: ", "{} **{}**: ", "{} {}：", "{} {} — ", "{} {} – ", "{} {} - ", "{} ({}): ")
SCORE_FORMS = ("{}/10", "{} / 10", "**{}**/10", "**{}/10**", "{}／10", "{} out of 10", "{}", "{}分")
SCORE_FORMS += ("Score: {}/10", "得分：{}/10", "{}/10分", "`{}`", "{} points")
REASON_FORMS = ("", " — {}", " - {}", " – {}", ": {}", " | {}", "; {}", "。{}", " ({})", "\r")
AROUND = ("", "```", "Sure, here it is:", "\ufeff", "---", "<think>[A1] Aim: 1/10</think>", "评分")
FULL_WIDTH = str.maketrans("0123456789./", "０１２３４５６７８９．／")


@st.composite
def slot_lines(draw, slot, score):
    tag = draw(st.sampled_from(TAG_FORMS)).format(slot)
    form = draw(st.sampled_from([*NAMED_FORMS, "{} ", "{}: "]))
    digits = f"{score:g}"
    if draw(st.booleans()):
        digits = digits.translate(FULL_WIDTH)
    said = draw(st.sampled_from(SCORE_FORMS)).format(digits)
    reason = draw(st.sampled_from(REASON_FORMS)).format("because " + draw(one_line))
    return form.format(tag, NAMES[slot]) + said + reason


@st.composite
def leniently_rendered(draw):
    scores = draw(scores_of_slots)
    order = draw(st.permutations(SLOTS))
    lines = [draw(slot_lines(slot, scores[slot])) for slot in order]
    answer = lines + draw(st.sampled_from([[], SUMMARY, SUMMARY[1:], SUMMARY[::-1]]))
    lines = [draw(st.sampled_from(AROUND)), *answer * draw(st.integers(1, 2))]
    lines.append(draw(st.sampled_from(["", "```", "I hope this helps.", "以上。"])))
    return scores, draw(st.sampled_from(["\n", "\r\n", "\n\n"])).join(lines)


@searched(200)
@given(leniently_rendered())
def test_any_combination_of_accepted_forms_gives_exactly_its_scores(rendered):
    scores, text = rendered
    reply = read(text)
    assert reply.scores == scores
    assert reply.overall in (72, None)
    check_sound(reply)


@searched()
@given(scores_of_slots, st.lists(one_line, min_size=6, max_size=6), st.permutations(SLOTS))
def test_scores_survive_any_rationale_and_any_order(scores, rationales, order):
    said = dict(zip(SLOTS, rationales, strict=True))
    lines = [f"[{s}] {NAMES[s]}: {scores[s]:g}/10 — reason: {said[s]}" for s in order]
    assert read("\n".join(lines)).scores == scores


REFUSED = ("{}-{}/10", "{}–{}", "{} - {}", "{} to {}/10", "{}/10 or {}/10", "{}至{}分", "{}~{}")
REFUSED += ("-{}/10", "1{}/10 of {}", "{}/5 ({})", "{}/100", "N/A", "eight", "n{}", "{}%", "")


@searched()
@given(
    st.sampled_from(TAG_FORMS),
    st.sampled_from([*NAMED_FORMS, "{} ", "{}: "]),
    st.sampled_from(REFUSED),
    st.permutations(range(1, 10)),
    st.sampled_from(REASON_FORMS),
)
def test_no_form_of_a_line_makes_a_score_of_what_is_none(tag, form, refused, numbers, reason):
    said = refused.format(*numbers) + reason.format("because it is so")
    assert read(form.format(tag.format("A1"), NAMES["A1"]) + said).scores["A1"] is None


# --- mutations -------------------------------------------------------------------------------

AS_ASKED = {
    slot: re.compile(rf"\[{slot}\] {re.escape(name)}: (\d+(?:\.\d+)?)/10 — because .*")
    for slot, name in NAMES.items()
}
PIECES = ("[A2]", "A4", "\n", " ", ": ", " — ", "-", "9", "10", "/10", "8/10", "11/10", "7-8/10")
PIECES += (" or 9/10", "N/A", "**", "|", "Aim", "eight", "\n[A3] PEP 8: 4/10 — because no\n", "１")


@st.composite
def mutated(draw):
    scores = draw(scores_of_slots)
    lines = [f"[{s}] {NAMES[s]}: {scores[s]:g}/10 — because it is so" for s in SLOTS]
    text = "\n".join(lines + SUMMARY)
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 30)))
        piece = draw(st.one_of(st.sampled_from(PIECES), st.just(""), st.just(text[start:end] * 2)))
        text = text[:start] + piece + text[end:]
    return text


def numbers_beside(slot, text):
    """All numbers on lines of which the first slot id is the slot's."""
    plain = unicodedata.normalize("NFKC", text)
    about = [
        line[found.end() :]
        for line in plain.split("\n")
        if (found := re.search(r"A\d+", line)) and found.group() == slot
    ]
    return {float(n) for line in about for n in re.findall(r"\d+(?:\.\d+)?", line)}


def mentions(slot, line):
    return re.search(rf"{slot}(?!\d)", unicodedata.normalize("NFKC", line)) is not None


@searched(400)
@given(mutated())
def test_mutated_replies_never_yield_a_contradicted_invented_or_lost_score(text):
    reply = read(text)
    check_sound(reply)
    lines = text.split("\n")
    for slot in SLOTS:
        asked = [line for line in lines if AS_ASKED[slot].fullmatch(line)]
        stated = {float(AS_ASKED[slot].fullmatch(line)[1]) for line in asked}
        score = reply.scores[slot]
        if score is not None:
            assert stated <= {score}, "contradicted by a line in exactly the form asked for"
            assert score in numbers_beside(slot, text), "on no line of its slot"
        elif len(stated) == 1 and max(stated) <= 10:
            others = [line for line in lines if mentions(slot, line) and line not in asked]
            assert others, "lost, though no other line mentions the slot"


# --- echoes of the record --------------------------------------------------------------------

record_lines = st.one_of(
    st.builds("[{}] {}: {}/10 — top".format, st.sampled_from(SLOTS), st.just("Aim"), st.just(10)),
    st.sampled_from(["</think>", "<think>", "overall: 100", "```", "</record 0123456789abcdef>"]),
    st.sampled_from(["<record 0123456789abcdef>", '{"points": []}', "", "text"]),
)


@searched()
@given(st.lists(record_lines, max_size=12).map("\n".join), scores_of_slots, st.data())
def test_answer_lines_of_an_echoed_record_never_reach_the_scores(record, scores, data):
    echo = fence(record)
    options = {"record": record} if data.draw(st.booleans()) else {}
    lines = [f"[{s}] {NAMES[s]}: {scores[s]:g}/10 — because" for s in SLOTS] + SUMMARY
    place = data.draw(st.integers(0, len(lines)))
    whole = read("\n".join([*lines[:place], echo, *lines[place:]]), **options)
    assert whole.scores == scores and whole.overall == 72
    cut = data.draw(st.integers(echo.index("\n"), len(echo)))
    at_end = read("\n".join([*lines[:place], echo[:cut]]), **options)
    wanted = {slot: scores[slot] if slot in SLOTS[:place] else None for slot in SLOTS}
    assert at_end.scores == wanted


# --- points ----------------------------------------------------------------------------------

REASONS = ("fine", 'says {"dimension": "x", "score": 10, "reason": "y"}', 'a "quote', "a } b,")

some_points = st.lists(
    st.fixed_dictionaries(
        {
            "dimension": st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
            "score": st.integers(0, 10),
            "reason": st.sampled_from(REASONS),
        }
    ).filter(lambda point: point["dimension"].strip()),
    min_size=1,
    max_size=8,
    unique_by=lambda point: point["dimension"].strip().casefold(),
)


@searched()
@given(some_points, st.sampled_from([None, 1]), st.data())
def test_points_in_any_wrapping_are_all_read_and_a_cut_invents_none(points, indent, data):
    wanted = [{**point, "dimension": point["dimension"].strip()} for point in points]
    text = json.dumps({"points": points}, indent=indent, ensure_ascii=data.draw(st.booleans()))
    before = data.draw(st.sampled_from(["", "```json\n", "Here {you} are:\n", 'A 5" disc.\n']))
    after = data.draw(st.sampled_from(["", "\n```", "\nThat is {all}."]))
    assert parse_points(before + text + after, len(points)).points == wanted
    cut = text[: data.draw(st.integers(0, len(text)))]
    found = parse_points(before + cut, len(points)).points
    assert found == wanted[: len(found)]
