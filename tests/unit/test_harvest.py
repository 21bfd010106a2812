"""The demo corpus: harvested records are the same on every run, and say what is true."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mira.errors import UserError
from mira.records import Record, render
from mira.sampling.harvest import HARVESTERS, HarvestSettings, harvest
from mira.sampling.harvest.agent_scripts import FAULTS
from mira.sampling.harvest.agent_tools import Tool, Toolbox
from mira.sampling.harvest.arithmetic import MAKERS, holds
from mira.sampling.harvest.base import Draft, number
from mira.sampling.harvest.bug_repairer import BUGGY, broken_lines, doctest_report
from mira.sampling.harvest.docstrings import parameters, sections
from mira.sampling.harvest.draw import Draw
from mira.sampling.harvest.exceptions import fill, run_program
from mira.sampling.harvest.failures import FAILURES
from mira.sampling.harvest.pages import scrub
from mira.sampling.harvest.pieces import code_pieces, prose_pieces, shorten
from mira.sampling.harvest.sandbox import Sandbox

SMALL = HarvestSettings(max_records=12, seed=3)
AGENTS = [name for name, h in HARVESTERS.items() if h.family == "agent"]
FAST = ["html_pages", "package_readmes", "exceptions_explained", "worked_math", *AGENTS]


@pytest.fixture(scope="module")
def harvested() -> dict[str, list[Record]]:
    return {name: harvest(name, SMALL) for name in HARVESTERS}


def test_there_are_sources_of_every_family():
    assert len(HARVESTERS) >= 12
    families = Counter(harvester.family for harvester in HARVESTERS.values())
    assert min(families[family] for family in ("text", "qa", "agent")) >= 4


@pytest.mark.parametrize("name", HARVESTERS)
def test_records_are_numbered_sized_and_of_their_family(name, harvested):
    records = harvested[name]
    assert [r["id"] for r in records] == [f"{name}-{i:05d}" for i in range(SMALL.max_records)]
    assert {r["source"] for r in records} == {name}
    assert {r["family"] for r in records} == {HARVESTERS[name].family}
    lengths = [len(render(r)) for r in records]
    assert SMALL.min_chars <= min(lengths) and max(lengths) <= SMALL.max_chars
    assert len({render(r) for r in records}) == len(records)


@pytest.mark.parametrize("name", FAST)
def test_recorded_text_holds_nothing_of_this_machine(name):
    folders = {*sysconfig.get_paths().values(), f"{tempfile.gettempdir()}/mira-"}
    for record in harvest(name, HarvestSettings(max_records=100, seed=3)):
        text = render(record)
        assert not [folder for folder in folders if folder in text]
        assert name == "package_readmes" or not re.search(r" at 0x[0-9a-f]{6,}", text)


@pytest.mark.parametrize("name", HARVESTERS)
def test_records_say_where_they_are_from(name, harvested):
    for record in harvested[name]:
        assert {"origin", "kind", "licence"} <= set(record["meta"])
        assert not record["meta"]["origin"].startswith("/")


def test_harvest_is_the_same_in_another_process():
    code = (
        "import json, sys; from mira.sampling.harvest import *\n"
        "s = HarvestSettings(max_records=12, seed=3)\n"
        "print(json.dumps([harvest(name, s) for name in sys.argv[1:]]))"
    )
    command = [sys.executable, "-c", code, *FAST]
    environment = {"PYTHONHASHSEED": "77", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert json.loads(done.stdout) == json.loads(json.dumps([harvest(n, SMALL) for n in FAST]))


def test_another_seed_gives_other_records():
    other = HarvestSettings(max_records=12, seed=4)
    for name in FAST:
        assert harvest(name, other) != harvest(name, SMALL)


def test_unknown_harvester_names_the_known_ones():
    with pytest.raises(UserError, match=r"'stdlib'.*shell_explorer.*stdlib_modules"):
        harvest("stdlib", SMALL)


def test_number_leaves_out_repeats_and_unfit_lengths():
    limits = HarvestSettings(max_records=2, min_chars=3, max_chars=5)
    drafts = [Draft(text) for text in ("ab", "abc", "abc", "abcdef", "abcd", "abcde")]
    records = list(number("s", "text", drafts, limits))
    assert [(r["id"], r["text"]) for r in records] == [("s-00000", "abc"), ("s-00001", "abcd")]


@pytest.mark.parametrize("name", AGENTS)
def test_every_tool_reply_follows_its_call(name):
    runs = Counter()
    for record in harvest(name, HarvestSettings(max_records=80, seed=5)):
        runs[record["meta"]["run"]] += 1
        waiting: list[str] = []
        seen: set[str] = set()
        for message in record["messages"]:
            if message["role"] == "tool":
                assert waiting.pop(0) == message["tool_call_id"]
                continue
            assert not waiting
            waiting = [call["id"] for call in message.get("tool_calls", ())]
            assert not seen.intersection(waiting)
            seen.update(waiting)
        assert not waiting
        assert record["messages"][-1]["role"] == "assistant"
        assert "tool_calls" not in record["messages"][-1]
    assert 0.12 < 1 - runs["good"] / 80 < 0.4
    assert set(runs) - {"good"} <= {f"bad:{fault}" for fault in FAULTS}
    assert len(runs) >= 5


@pytest.mark.parametrize("name", AGENTS)
def test_good_runs_end_well(name):
    """In a good run arguments parse, slips are corrected and the last call succeeds."""
    good = [
        r
        for r in harvest(name, HarvestSettings(max_records=80, seed=6))
        if r["meta"]["run"] == "good"
    ]
    for record in good:
        replies = [m["content"] for m in record["messages"] if m["role"] == "tool"]
        calls = [c for m in record["messages"] for c in m.get("tool_calls", ())]
        assert all(isinstance(json.loads(c["function"]["arguments"]), dict) for c in calls)
        assert not replies[-1].startswith("error:")
        assert sum(reply.startswith("error:") for reply in replies) <= 1
        if name == "bug_repairer":
            assert replies[-1].endswith("passed.")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(MAKERS))
def test_worked_answers_are_right(seed, maker):
    problem = maker(Draw(seed, "test"))
    assert holds(problem.check)
    assert problem.steps and problem.answer


def test_worked_math_tells_the_checked_answer(harvested):
    for record in harvested["worked_math"]:
        assert holds(record["meta"]["check"])
        value = record["meta"]["check"].rsplit("== ", 1)[-1]
        if value.lstrip("-").isdigit() and record["meta"]["kind"] in ("addition", "determinant"):
            assert value in record["messages"][-1]["content"]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda f: f.cause[:30])
def test_exceptions_are_really_raised_and_repaired(failure):
    for seed in range(5):
        filled = fill(failure, Draw(seed, "test"))
        failed = run_program(filled.broken, "x.py")
        assert failed.error == failure.error
        assert f'File "x.py", line {failed.line}' in failed.trace
        repaired = run_program(filled.fixed, "x.py")
        assert not repaired.error and repaired.printed.strip()


def test_questions_about_exceptions_show_the_traceback(harvested):
    for record in harvested["exceptions_explained"]:
        question = record["messages"][0]["content"]
        assert "Traceback (most recent call last)" in question
        assert f"{record['meta']['kind']}" in question


@pytest.mark.parametrize("item", BUGGY, ids=lambda item: item.name)
def test_every_bug_fails_and_its_repair_passes(item):
    filled = item.filled(Draw(1, "test"))
    assert doctest_report(filled.source, "x.py").endswith("passed.")
    for bug in filled.bugs:
        broken = filled.source.replace(bug.right, bug.wrong)
        assert not doctest_report(broken, "x.py").endswith("passed.")
        old, new = broken_lines(filled, bug)
        assert broken.count(old) == 1
        assert broken.replace(old, new) == filled.source


def test_toolbox_answers_bad_calls_with_errors():
    box = Toolbox([Tool("half", "", {"n": "integer"}, lambda n: n / 2)])
    assert box.execute("half", '{"n": 3}') == "1.5"
    assert "not valid JSON" in box.execute("half", '{"n": 3')
    assert "missing argument(s): n" in box.execute("half", "{}")
    assert "unexpected argument(s): m" in box.execute("half", '{"n": 1, "m": 2}')
    assert "must be a JSON object" in box.execute("half", "[3]")
    assert "unknown tool 'third'" in box.execute("third", "{}")
    assert "TypeError" in box.execute("half", '{"n": "3"}')


def test_sandbox_cannot_be_left(tmp_path):
    (tmp_path / "box").mkdir()
    (tmp_path / "secret.py").write_text("x = 1\n")
    (tmp_path / "box" / "a.py").write_text("def f():\n    pass\n")
    box = Sandbox(tmp_path / "box").toolbox()
    for path in ("../secret.py", str(tmp_path / "secret.py")):
        reply = box.execute("read_file", json.dumps({"path": path}))
        assert reply.startswith("error: path is outside")
    assert box.execute("grep", '{"pattern": "def", "path": "."}') == "a.py:1: def f():"


SOURCE = (
    "import os\n\n# about f\ndef f():\n    return 1\n\n\nclass C:\n    def g(self):\n        pass\n"
)


def test_code_is_cut_between_definitions():
    pieces = code_pieces(SOURCE, target=1, limit=1000)
    assert pieces == [
        "import os",
        "# about f\ndef f():\n    return 1",
        "class C:\n    def g(self):\n        pass",
    ]
    assert code_pieces(SOURCE, target=1000, limit=1000) == [SOURCE.strip()]
    assert code_pieces("def f(:", target=10, limit=100) == []


def test_prose_is_cut_before_headings_but_not_inside_code():
    text = "# One\n\nfirst\n\n```\n# comment\n```\n\n# Two\n\nsecond\n"
    assert prose_pieces(text, target=1, limit=500) == [
        "# One\n\nfirst\n\n```\n# comment\n```",
        "# Two\n\nsecond",
    ]


@given(st.text("ab \n", max_size=200), st.integers(10, 60))
def test_shortened_text_is_a_beginning_within_the_limit(text, limit):
    short = shorten(text, limit)
    assert text.startswith(short) and len(short) <= limit
    assert len(text) > limit or short == text


def test_numpydoc_sections_and_parameters():
    doc = "Do it.\n\nParameters\n----------\nx : int\n    A number.\n\n    More.\ny\n    Other.\n"
    parts = sections(doc)
    assert parts[""] == "Do it."
    first, second = parameters(parts["Parameters"])
    assert (first.name, first.type, first.description) == ("x", "int", "A number.\n\nMore.")
    assert (second.name, second.type) == ("y", "")


def test_scrub_removes_what_differs_between_processes():
    assert scrub("<f at 0x7f12ab34cd56> frozenset({'b', 'a'})") == (
        "<f at 0x...> frozenset({'a', 'b'})"
    )
