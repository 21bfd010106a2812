"""Each facet scores a good text above a bad one, within 0..10, and says briefly why."""

from __future__ import annotations

import json
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mira.records import FAMILIES, Family, render
from mira.teacher.embedded.facet import EVIDENCE_WORDS, curve, quote
from mira.teacher.embedded.judge import examine
from mira.teacher.embedded.registry import FACETS, find_facet, table
from mira.teacher.embedded.turns import Document


class Pair(NamedTuple):
    family: Family
    good: str
    bad: str


def qa(question: str, answer: str) -> str:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return render({"messages": messages})


def trace(task: str, *steps: tuple[str, str, str], final: str = "", system: str = "") -> str:
    """Steps are (thought, arguments, reply), all calls to the tool ``bash``."""
    messages: list[dict] = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": task})
    for thought, arguments, reply in steps:
        call = {"function": {"name": "bash", "arguments": arguments}}
        messages.append({"role": "assistant", "content": thought, "tool_calls": [call]})
        messages.append({"role": "tool", "content": reply})
    if final:
        messages.append({"role": "assistant", "content": final})
    return render({"messages": messages})


def command(text: str) -> str:
    return json.dumps({"command": text})


TASK = "How many Python files are in the folder src of this project?"
LOOK = ("I list the folder src first.", command("ls src"), "parser.py lexer.py README.md")
COUNT = ("Now I count the Python files.", command("ls src/*.py | wc -l"), "2")
FAILED = ("I list the folder.", command("ls source"), "Error: no such file or directory: source")
ANSWER = "The folder src holds 2 Python files: parser.py and lexer.py."
GOOD_TRACE = trace(TASK, LOOK, COUNT, final=ANSWER)
STUCK_TRACE = trace(TASK, FAILED, FAILED, FAILED)
TOOLS = json.dumps(
    [
        {
            "name": "bash",
            "parameters": {
                "type": "object",
                "properties": {"command": {"type": "string"}},
                "required": ["command"],
            },
        }
    ]
)

PROSE = (
    "# Sorting in Python\n\n"
    "Sorting puts the items of a list in order. Python sorts lists with a stable algorithm,\n"
    "because equal items must keep the order in which they were given to the sort.\n\n"
    "For example, the function sorted() returns a new list, while the method list.sort()\n"
    "changes the list in place. Sorting a list of 1000 items takes about 10,000 comparisons,\n"
    "so a sorted list is cheap to make and a sorted list is also fast to search.\n\n"
    "1. Choose the key that the sort should use.\n"
    "2. Call sorted() with the list and the key.\n"
    "3. Check the order of the sorted list.\n\n"
    "The sort key is a function of one item. Sorting with a key calls that function once for\n"
    "each item of the list, and the sort then compares the keys instead of the items.\n"
)
CODE = '''"""Areas of simple shapes."""

import math


def circle_area(radius: float) -> float:
    """Return the area of a circle with this radius."""
    if radius < 0:
        raise ValueError("radius must not be negative")
    return math.pi * radius**2


def square_area(side: float) -> float:
    """Return the area of a square with this side."""
    # A negative side has no meaning here.
    assert side >= 0
    return side * side


def test_square_area() -> None:
    """The area of a unit square is one."""
    assert square_area(1.0) == 1.0
'''
NAMED_CODE = CODE.replace(
    "return side * side", "surface = side * side\n    result_area = surface\n    return result_area"
)
CALLING_CODE = f"{CODE}\n\ndef both():\n    return circle_area(1) + square_area(1)\n"
BAD_CODE = """import math
def f(a,b):
  x=a
  for i in range(10):
        for j in range(10):
                for k in range(10):
                    if x:
                        y=x
                        z=helper(y)
                        w=other(z)
def g(q):
     r=q
     s=unknown(r)
     return s
     t=1
     u=2
"""
HTML = """<!DOCTYPE html>
<html lang="en">
<head>
  <title>Shapes</title>
</head>
<body>
  <main>
    <h1>Shapes</h1>
    <p>A square has four sides.</p>
    <img src="square.png" alt="a square">
  </main>
</body>
</html>
"""
FLAT_HTML = "<div><span><div><b>Shapes</b></span><div>\n<div><font>A square.</div>\n" * 6
SHUFFLED = "\n".join(sorted(PROSE.splitlines(), key=lambda line: line[::-1]))
FAR = (
    "Volcanic ash clouds drifted over distant harbours. Fishermen repaired torn nets quietly.\n"
    "Copper prices collapsed yesterday. Orchestra rehearsals continue without violins.\n"
)
QUESTION = "How does the function sorted() order a list of 1000 words, and why is it stable?"
SOUND = (
    "The function sorted() orders a list of 1000 words by comparing the words, because words have "
    "an order of their own.\n\n1. It finds runs that are already in order.\n2. Then it merges the "
    "runs, so 500 + 500 = 1000 words end up in one list.\n\nIt is stable since equal words are "
    "never exchanged: for example `sorted(words, key=len)` keeps words of one length in order."
)
SWAPPED = "Well, I think bananas are really just basically yellow fruit, you know, sort of"

PAIRS: dict[str, Pair] = {
    "structure": Pair("text", PROSE, "\n".join(["one long flat line of words follows here"] * 12)),
    "redundancy": Pair("text", PROSE, "The same line is said once more here.\n" * 12),
    "boilerplate": Pair("text", PROSE, "All rights reserved. Click here.\n" * 6 + PROSE),
    "vocabulary": Pair("text", PROSE, "apple banana apple banana cherry " * 20),
    "sentence_completeness": Pair("text", PROSE, "and then some\n\nof the other\n\n" * 3),
    "ending": Pair("text", PROSE, PROSE[: len(PROSE) // 2] + " and the"),
    "coherence": Pair("text", "\n".join(f"{w} {w}x calls\n{w} {w}x returns" for w in
                      ("parser", "lexer", "reader", "writer", "linker")),
                      "\n".join(f"alpha{i}bet gamma{i}" for i in "abcdefghij")),
    "unity": Pair("text", PROSE, PROSE[: len(PROSE) * 3 // 4] + FAR * 2),
    "readability": Pair("text", PROSE, " ".join(["and so it goes on without a stop"] * 30) + "."),
    "encoding": Pair("text", PROSE, PROSE.replace("so", "sÃ©")),
    "language": Pair("text", f"{PROSE}\n\n{PROSE}",
                     f"{PROSE}\n\nEl perro y el gato de la casa que es de un amigo.\n\n"
                     "Der Hund und die Katze sind nicht mit dem Haus zu sehen.\n\n"
                     "Le chat est dans la maison et le chien est pour les enfants."),
    "fluency": Pair("text", PROSE, "apple banana cherry grape melon lemon mango peach plum " * 5),
    "formatting": Pair("text", PROSE, PROSE.replace("\n", "   \n\n\n\n").replace(". ", " ,,  ")),
    "flow": Pair("text", PROSE * 2,
                 "This long line ended with a stop.\nand this one begins in lower case.\n" * 4),
    "specificity": Pair("text", PROSE, "things are nice and good and some are better than others"),
    "examples": Pair("text", PROSE + "\n>>> sorted([2, 1])\n[1, 2]\n", FAR),
    "educational": Pair("text", PROSE, FAR * 3),
    "actionability": Pair("text", PROSE, FAR * 2),
    "difficulty": Pair("text", "Asymptotic `heapq.merge()` complexity characterises external_sort.",
                       "The cat sat on the mat and the dog ran to the cat."),
    "density": Pair("text", PROSE, "round and round it goes again " * 40),
    "reasoning": Pair("qa", qa(QUESTION, SOUND), qa(QUESTION, SWAPPED)),
    "verifiability": Pair("text", PROSE + "See https://python.org and PEP 8, line 12.\n", FAR * 3),
    "opening": Pair("text", PROSE, "and so on, whatever comes of it\n" + FAR * 5),
    "substance": Pair("text", PROSE, "too short"),
    "ordering": Pair("text", PROSE, "3. last\n1. first\n7. seventh\n2. second\n"),
    "syntax": Pair("text", CODE, BAD_CODE + "def broken(:\n    return ]\n"),
    "identifiers": Pair("text", NAMED_CODE, BAD_CODE),
    "documentation": Pair("text", CODE, BAD_CODE),
    "indentation": Pair("text", CODE, "\n".join(line.strip() for line in CODE.splitlines())),
    "modularity": Pair("text", CODE, BAD_CODE),
    "robustness": Pair("text", CODE, BAD_CODE),
    "tests": Pair("text", CODE, BAD_CODE),
    "interfaces": Pair("text", CODE, BAD_CODE),
    "resolution": Pair("text", CALLING_CODE,
                       BAD_CODE),
    "markup": Pair("text", HTML, FLAT_HTML),
    "question_clarity": Pair("qa", qa(QUESTION, SOUND), qa("sorted", SOUND)),
    "answer_relevance": Pair("qa", qa(QUESTION, SOUND), qa(QUESTION, SWAPPED)),
    "answer_completeness": Pair("qa", qa(QUESTION, SOUND), qa(QUESTION, SWAPPED)),
    "answer_depth": Pair("qa", qa(QUESTION, SOUND), qa(QUESTION, SWAPPED)),
    "answer_conciseness": Pair("qa", qa(QUESTION, SOUND), qa(QUESTION, f"{SWAPPED}. {SWAPPED}.")),
    "stepwise": Pair("qa", qa(QUESTION, SOUND), qa(QUESTION, SWAPPED)),
    "arithmetic": Pair("qa", qa(QUESTION, SOUND), qa(QUESTION, SOUND.replace("= 1000", "= 900"))),
    "format_fit": Pair("qa", qa("How many words are in it?", "There are 12 words."),
                       qa("How many words are in it?", "There are quite a few words.")),
    "directness": Pair("qa", qa(QUESTION, SOUND), qa(QUESTION, SWAPPED)),
    "grounding": Pair("qa", qa(QUESTION, SOUND), qa(QUESTION, SWAPPED)),
    "call_validity": Pair("agent", GOOD_TRACE, trace(TASK, ("", '{"command": "ls"}{"a"', "bad"))),
    "schema_adherence": Pair("agent", trace(TASK, LOOK, system=TOOLS),
                             trace(TASK, ("", '{"cmd": "ls"}', "bad"), system=TOOLS)),
    "tool_selection": Pair("agent", GOOD_TRACE, trace(TASK, ("", "{}", "Unknown tool: bash"))),
    "error_recovery": Pair("agent", trace(TASK, FAILED, LOOK, COUNT), STUCK_TRACE),
    "efficiency": Pair("agent", GOOD_TRACE, STUCK_TRACE),
    "execution": Pair("agent", GOOD_TRACE, STUCK_TRACE),
    "information_gain": Pair("agent", GOOD_TRACE, STUCK_TRACE),
    "evidence": Pair("agent", GOOD_TRACE, trace(TASK, LOOK, final="There are 417 in `core.rs`.")),
    "goal": Pair("agent", GOOD_TRACE, STUCK_TRACE),
    "plan": Pair("agent", GOOD_TRACE, trace(TASK, ("", *LOOK[1:]), ("", *COUNT[1:]))),
    "turn_coherence": Pair("agent", GOOD_TRACE, trace(TASK, LOOK, final=FAR)),
    "next_steps": Pair("agent", trace(TASK, LOOK, ("", command("cat parser.py lexer.py"), "x")),
                       trace(TASK, ("", command("grep zebra /opt/unseen/place"), "x"))),
    "communication": Pair("agent", GOOD_TRACE, trace(TASK, LOOK, LOOK, LOOK, final=SWAPPED * 40)),
    "protocol": Pair("agent", GOOD_TRACE, f"<|tool|>\norphan\n{GOOD_TRACE}\n<|tool|>\norphan"),
}  # fmt: skip

GENERAL = [facet for facet in FACETS if facet.families == FAMILIES]


def test_every_facet_has_a_pair() -> None:
    assert set(PAIRS) == {facet.key for facet in FACETS}
    assert len(FACETS) >= 30


@pytest.mark.parametrize("facet", FACETS, ids=lambda facet: facet.key)
def test_good_text_scores_above_bad_text(facet) -> None:
    family, good, bad = PAIRS[facet.key]
    better, worse = facet.score(Document(good, family)), facet.score(Document(bad, family))
    assert better is not None and worse is not None
    assert better >= worse + 0.5


@pytest.mark.parametrize("family", FAMILIES)
def test_findings_are_in_range_and_brief(family: Family) -> None:
    for pair in PAIRS.values():
        for text in (pair.good, pair.bad):
            for key, finding in examine(text, family).findings.items():
                assert 0 <= finding.score <= 10, key
                assert 1 <= len(finding.evidence.split()) <= EVIDENCE_WORDS
                assert "\n" not in finding.evidence


def test_facets_keep_to_their_family() -> None:
    for facet in FACETS:
        for family in set(FAMILIES) - set(facet.families):
            assert facet.find(Document(GOOD_TRACE, family)) is None


def test_names_are_unique_and_several() -> None:
    names = [name.casefold() for facet in FACETS for name in facet.names]
    assert len(names) == len(set(names))
    assert all(3 <= len(facet.names) <= 5 for facet in FACETS)


def test_names_find_their_facet() -> None:
    for facet in FACETS:
        for name in facet.names:
            assert find_facet(name, "", "text") is facet


def test_unknown_names_find_a_like_facet_or_none() -> None:
    by_words = find_facet("Overall Answer Relevance to Question", "", "qa")
    assert by_words is not None and by_words.key == "answer_relevance"
    by_definition = find_facet("Calls", "Share of tool calls whose arguments are JSON", "agent")
    assert by_definition is not None and by_definition.key == "call_validity"
    assert find_facet("Zebra", "stripes", "text") is None


def test_documentation_is_in_step_with_the_registry(pytestconfig: pytest.Config) -> None:
    page = pytestconfig.rootpath / "docs" / "embedded-teacher.md"
    message = "run: python -m mira.teacher.embedded.registry docs/embedded-teacher.md"
    assert page.read_text(encoding="utf-8") == table(), message


def test_text_shown_in_part_is_not_blamed_for_the_gap() -> None:
    syntax = next(facet for facet in FACETS if facet.key == "syntax")
    cut = CODE.replace("    return side * side\n", "    return\n[... 900 characters omitted ...]\n")
    assert syntax.score(Document(cut, "text")) == 10
    assert syntax.score(Document(cut.replace("[... 900", "[[.. 900"), "text")) < 7


def test_calls_are_matched_with_their_replies() -> None:
    call = {"function": {"name": "bash", "arguments": "{}"}}
    messages = [
        {"role": "assistant", "content": "Both at once.", "tool_calls": [call, call, call]},
        {"role": "tool", "content": "first"},
        {"role": "tool", "content": "second"},
    ]
    calls = Document(render({"messages": messages}), "agent").calls
    assert [call.reply for call in calls] == ["first", "second", None]
    assert [call.thought for call in calls] == ["Both at once."] * 3


@given(st.text(max_size=400), st.sampled_from(FAMILIES))
@settings(max_examples=60, deadline=None)
def test_any_text_can_be_examined(text: str, family: Family) -> None:
    impression = examine(text, family)
    assert 0 <= impression.overall <= 10


@given(st.lists(st.sampled_from(["<|user|>\nhi", "<|tool_call|> f\n[1", "<|tool|>\nError:", "x"])))
@settings(max_examples=40, deadline=None)
def test_any_order_of_turns_can_be_examined(parts: list[str]) -> None:
    assert 0 <= examine("\n".join(parts), "agent").overall <= 10


@given(st.floats(-5, 5), st.floats(-5, 5))
def test_curve_keeps_order(a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert curve(low, (-1, 0), (0, 3), (2, 9)) <= curve(high, (-1, 0), (0, 3), (2, 9))


def test_quote_is_one_plain_line() -> None:
    assert quote("[A1] x —\n9/10 'so'") == "'(A1) x - 9/10 so'"
