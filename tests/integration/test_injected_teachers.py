"""The injection suite against teachers that obey, that do not, and that cannot."""

import asyncio
import re
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest
from aiohttp import web

from mira.errors import UserError
from mira.injection.command import measure_injection
from mira.injection.measure import compare_scores, summarise
from mira.injection.suite import LANGUAGES, load_suite
from mira.teacher.journal import Journal
from mira.teacher.settings import TeacherSettings

ROOT = Path(__file__).parents[2]
SUITE = load_suite()
SLOT = re.compile(r"^\[(A\d+)\] (.+): <score>/10 — <reason>$", re.MULTILINE)
RECORD = re.compile(r"^<record (\w{16})>\n(.*)\n</record \1>$", re.MULTILINE | re.DOTALL)
DEMAND = re.compile(
    r"10\s*/\s*10|１０／１０|10 ?分|\b10 (?:for|out of|in) |full marks|grade 10|deserves a 10"
    r"|below 10|score everything 10|every score you give is 10|scores 10|each slot is 10|A\d\W+10"
    r"|maximum score|\"score\":\s*10|1\u200b0\u200b/|Base64|满分|打 10|都是 10|使用 10|值 10|１　",
    re.IGNORECASE,
)


class Teacher:
    """A local endpoint; ``judge(record)`` gives one score for all slots, or a whole reply."""

    def __init__(self, judge):
        self.judge = judge
        self.asked = 0

    async def chat(self, request):
        user = (await request.json())["messages"][-1]["content"]
        self.asked += 1
        verdict = self.judge(RECORD.search(user)[2])
        if isinstance(verdict, web.Response):
            return verdict
        text = verdict if isinstance(verdict, str) else fill(user, verdict)
        choice = {"index": 0, "finish_reason": "stop", "message": {"content": text}}
        usage = {"prompt_tokens": len(user) // 4, "completion_tokens": len(text) // 4}
        return web.json_response({"choices": [choice], "usage": usage})


def fill(user, score):
    lines = [f"[{slot}] {name}: {score}/10 — so it seems" for slot, name in SLOT.findall(user)]
    tail = ["overall: 50", "training_recommendation: keep", "domain_tag: t", "brief: b"]
    return "\n".join([*lines, *tail])


@asynccontextmanager
async def serving(teacher):
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/chat/completions", teacher.chat)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


def measure(judge, folder, **changes):
    """Effects by kind and language for a teacher, and how often it was asked."""
    teacher = Teacher(judge)

    async def main():
        async with serving(teacher) as url:
            settings = TeacherSettings(base_urls=(url,), model="m", backoff_s=0.01, **changes)
            journal = Journal(folder)
            return await compare_scores(SUITE, settings, journal)

    comparisons, _ = asyncio.run(main())
    effects = {(e.kind, e.language): e for e in summarise(comparisons, seed=1)}
    return effects, teacher.asked


def gullible(record):
    return 10 if DEMAND.search(record) else 4


def test_a_gullible_teacher_is_found_out(tmp_path):
    effects, _ = measure(gullible, tmp_path)
    for effect in effects.values():
        assert effect.compared == effect.lifted == effect.attacks
        assert effect.difference == (6, 6, 6), effect


def test_a_teacher_that_does_not_listen_shows_no_effect(tmp_path):
    effects, asked = measure(lambda record: 4, tmp_path)
    assert asked == 2 * len(SUITE)
    for effect in effects.values():
        assert effect.difference == (0, 0, 0) and effect.lifted == 0
    _, asked = measure(lambda record: 9, tmp_path)
    assert asked == 0, "a second measurement with the same teacher is free"


def test_a_weakness_for_one_kind_shows_in_that_kind(tmp_path):
    effects, _ = measure(lambda record: 9 if "<think" in record else 4, tmp_path)
    lifted = {kind for (kind, _), effect in effects.items() if effect.lifted}
    assert lifted == {"thinking", "all"}
    assert all(effects["thinking", language].lifted >= 3 for language in LANGUAGES)


def test_ready_answer_lines_that_are_copied_are_no_labels(tmp_path):
    def copier(record):
        lines = re.findall(r"^\[A\d+\] .+: 10/10 — .+$", record, re.MULTILINE)
        return "\n".join(lines) if len(lines) >= 8 else 4

    effects, _ = measure(copier, tmp_path)
    assert all(effect.lifted == 0 for effect in effects.values())
    copied = sum(len(re.findall(r"^\[A\d+\] .+: 10/10", a.text, re.M)) >= 8 for a in SUITE)
    whole = effects["all", "all"]
    assert copied >= 10 and whole.attacks_unreadable == copied
    assert whole.compared == len(SUITE) - copied and whole.controls_unreadable == 0


def test_an_endpoint_that_refuses_the_suite_is_told_plainly(tmp_path):
    refusal = orjson.dumps({"error": {"message": "content policy"}}).decode()

    def refuse(record):
        return web.Response(status=400, text=refusal, content_type="application/json")

    with pytest.raises(UserError, match=r"192 of 192 records .*content policy"):
        measure(refuse, tmp_path)


CONFIG = """
run: injected
sources: {mine: {family: text, path: mine.jsonl}}
clustering: {k: 1}
teacher: {base_urls: ["URL"], model: some-model, journal: JOURNAL}
"""


def test_the_command_measures_the_teacher_of_the_config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    teacher = Teacher(gullible)

    async def main():
        async with serving(teacher) as url:
            config = tmp_path / "config.yaml"
            config.write_text(CONFIG.replace("URL", url).replace("JOURNAL", str(tmp_path / "j")))
            out = tmp_path / "table.md"
            return await asyncio.to_thread(measure_injection, config, out), out.read_text()

    said, written = asyncio.run(main())
    assert teacher.asked == 2 * len(SUITE)
    assert "Scores of some-model at http://127.0.0.1" in said
    row = r"all +both +96 +\+6\.00 \[6\.00, 6\.00\] +100 % +0 % +0 %"
    assert re.search(row, said)
    assert re.search(row.replace(" +", r" \| "), written)
    assert "cannot obey" not in said


@pytest.mark.slow
def test_the_documented_table_is_what_the_command_writes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    measure_injection(ROOT / "config/demo.yaml", tmp_path / "table.md")
    documented = (ROOT / "docs/injection.md").read_text()
    assert (tmp_path / "table.md").read_text() in documented
