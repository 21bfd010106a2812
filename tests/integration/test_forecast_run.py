"""The forecast against a real endpoint: what its pilot pays, and what the stage then pays."""

import asyncio
import re
from pathlib import Path

import numpy as np
import orjson
import pandas as pd
import pytest
from aiohttp import web
from loopback import serving

from mira.config import Prices, parse_config
from mira.discovery import discover
from mira.errors import UserError
from mira.forecast.command import forecast_run, is_outdated, say_payments
from mira.forecast.compare import actual_totals, compare
from mira.forecast.counting import PromptSizer
from mira.forecast.make import Samples, forecast_before_anchors, forecast_with_anchors, made_with
from mira.forecast.stage import Means
from mira.io import write_json, write_parquet
from mira.labelling import label
from mira.sampling.tokenizer import token_counter, train_tokenizer
from mira.teacher.journal import Journal
from mira.teacher.settings import TeacherSettings

PRICES = Prices(input=1.0, cached_input=0.1, output=4.0)
GROUPS = {"ask_a": "qa-1", "ask_b": "qa-1", "text_a": "text-1"}
FAMILIES = {"ask_a": "qa", "ask_b": "qa", "text_a": "text"}
OVERHEAD = 9
N_DISCOVERY, N_LABELLING = 14, 50
PILOT = 30


class Teacher:
    """Judges as asked, with a few words more or less per record.

    ``refuses`` tells by the record's number which ones are never judged, ``hesitates`` which ones
    are when asked again.
    """

    def __init__(
        self, count, refuses=lambda number: False, hesitates=lambda number: number % 10 == 7
    ):
        self.asked = []
        self._count = count
        self._refuses = refuses
        self._hesitates = hesitates

    async def chat(self, request):
        messages = (await request.json())["messages"]
        self.asked.append(messages)
        content = messages[-1]["content"]
        number = int(re.search(r"record number (\d+)", content)[1])
        again = "could not be used" in content
        if self._refuses(number):
            text = "I would rather not."
        elif self._hesitates(number) and not again:
            text = "[A1] no score"
        elif "JSON object" in content:
            text = judge_freely(number)
        else:
            text = judge_on_anchors(number, content)
        counts = self._count([message["content"] for message in messages] + [text])
        usage = {"prompt_tokens": sum(counts[:-1]) + OVERHEAD, "completion_tokens": counts[-1]}
        choice = {"index": 0, "finish_reason": "stop", "message": {"content": text}}
        body = {"choices": [choice], "usage": usage}
        return web.json_response(body, dumps=lambda value: orjson.dumps(value).decode())


def words(number):
    return " ".join(f"word{i}" for i in range(1 + int(np.random.default_rng(number).gamma(2, 4))))


def judge_freely(number):
    points = [
        {
            "dimension": f"Point {i}",
            "score": (number + i) % 11,
            "reason": f"Saw {words(number + i)}.",
        }
        for i in range(15)
    ]
    return orjson.dumps({"points": points}).decode()


def judge_on_anchors(number, content):
    slots = re.findall(r"^\[(A\d+)\] (.+): <score>/10", content, re.MULTILINE)
    lines = [f"[{slot}] {name}: {number % 11}/10 — {words(number)}" for slot, name in slots]
    tail = ["overall: 70", "training_recommendation: keep", "domain_tag: t", "brief: b"]
    return "\n".join([*lines, *tail])


def write_samples(folder):
    """Both samples of every source; records differ in length."""
    paths = {}
    for kind, n in (("discovery", N_DISCOVERY), ("labelling", N_LABELLING)):
        paths[kind] = {}
        for place, (source, family) in enumerate(FAMILIES.items()):
            numbers = range(1_000 * place + (500 if kind == "discovery" else 0), 10**9)
            numbers = numbers[:n]
            frame = pd.DataFrame(
                {
                    "id": [f"{source}-{number}" for number in numbers],
                    "source": source,
                    "family": family,
                    "text": [f"record number {i} " + "and so on " * (i % 37) for i in numbers],
                    "split": "train",
                }
            )
            paths[kind][source] = folder / kind / f"{source}.parquet"
            write_parquet(frame, paths[kind][source])
    return Samples(GROUPS, paths["discovery"], paths["labelling"])


def real_anchors():
    rows = [
        {
            "slot": f"A{i}",
            "name": f"Anchor {i}",
            "definition": f"What {i} means.",
            "references": [{"score": 3.0, "reason": "Little."}] if i <= 12 else [],
        }
        for i in range(1, 16)
    ]
    return dict.fromkeys(GROUPS.values(), rows)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer") / "tok"
    train_tokenizer(iter(["record number and so on, words and scores 0 1 2 3"] * 30), 400, folder)
    return folder


class Run:
    """A run with a teacher of its own: forecasts, then stages, over one journal."""

    def __init__(self, folder, counts_with, **teacher):
        self.samples = write_samples(folder)
        self.settings = {
            "run": "r",
            "seed": 6,
            "sources": {s: {"family": f, "harvest": "worked_math"} for s, f in FAMILIES.items()},
            "clustering": {"within": "family", "k": 1},
            "teacher": {
                "kind": "endpoint",
                "base_urls": ["http://127.0.0.1:1/v1"],
                "model": "m",
                "prices": PRICES.model_dump(),
                "pilot_calls": PILOT,
                "max_failed_share": 0.2,
                "journal": str(folder / "journal"),
                **teacher,
            },
        }
        self.config = parse_config(self.settings)
        self.teacher = Teacher(token_counter(counts_with))

    def ask(self, use):
        """The result of ``use(means)``, and the number of calls that it paid for."""

        async def main():
            async with serving(self.teacher.chat) as url:
                settings = TeacherSettings.from_config(self.config.teacher, "r", base_urls=[url])
                journal = Journal(self.config.teacher.journal, payer="r")
                sizer = PromptSizer.of(self.config.teacher.tokenizer)
                try:
                    return await use(Means(settings, journal, sizer, self.config.seed))
                finally:
                    journal.close()

        before = len(self.teacher.asked)
        return asyncio.run(main()), len(self.teacher.asked) - before

    def forecast_before(self, anchors=None):
        return self.ask(lambda m: forecast_before_anchors(self.samples, self.config, m, anchors))

    def forecast_with(self, anchors):
        return self.ask(lambda m: forecast_with_anchors(self.samples, self.config, m, anchors))

    def records(self, kind, group):
        paths = getattr(self.samples, kind)
        return pd.concat([pd.read_parquet(paths[s]) for s, g in GROUPS.items() if g == group])

    def discover(self):
        async def use(means):
            return [
                (
                    await discover(
                        self.records("discovery", group),
                        means.settings,
                        means.journal,
                    )
                ).counts
                for group in sorted(set(GROUPS.values()))
            ]

        return self.ask(use)

    def label(self, anchors):
        async def use(means):
            return [
                (
                    await label(
                        self.records("labelling", group),
                        anchors[group],
                        means.settings,
                        means.journal,
                        group=group,
                    )
                ).cost
                for group in sorted(set(GROUPS.values()))
            ]

        return self.ask(use)


def test_the_stages_do_not_pay_for_their_pilots_again(tmp_path, tokenizer):
    run = Run(tmp_path, tokenizer)
    forecast, paid = run.forecast_before()
    pilot = forecast["stages"]["discovery"]["pilot"]
    assert pilot["questions"] == 20 and pilot["calls"] == 20 + pilot["asked_again"]
    assert pilot["asked_again"] > 0
    provisional = forecast["stages"]["labelling"]["pilot"]
    assert provisional["questions"] == 10
    assert paid == pilot["paid_calls"] + provisional["paid_calls"]
    assert paid == pilot["calls"] + provisional["calls"]
    bills, paid = run.discover()
    total = actual_totals(bills)
    assert total["records"] == 3 * N_DISCOVERY and paid == total["calls"] - pilot["calls"]

    anchors = real_anchors()
    forecast, paid = run.forecast_with(anchors)
    pilot = forecast["stages"]["labelling"]["pilot"]
    assert pilot["questions"] == PILOT and paid == pilot["calls"] == pilot["paid_calls"]
    bills, paid = run.label(anchors)
    total = actual_totals(bills)
    assert total["records"] == 3 * N_LABELLING and paid == total["calls"] - pilot["calls"]
    assert run.forecast_with(anchors)[1] == 0
    compared = compare(forecast["stages"]["labelling"], total)
    assert all(compared[name]["inside"] for name in ("calls", "tokens", "money")), compared


def test_prompt_tokens_are_exact_with_the_teachers_tokenizer(tmp_path, tokenizer):
    anchors, count = real_anchors(), token_counter(tokenizer)
    never = {"hesitates": lambda number: False}
    run = Run(tmp_path, tokenizer, tokenizer=str(tokenizer))
    run.teacher = Teacher(count, **never)
    forecast, _ = run.forecast_with(anchors)
    stage = forecast["stages"]["labelling"]
    assert stage["prompts"] == "counted"
    run.label(anchors)
    asked = [count([message["content"] for message in prompt]) for prompt in run.teacher.asked]
    actual = sum(map(sum, asked)) + OVERHEAD * len(asked)
    prompt_tokens = stage["total"]["prompt_tokens"]
    assert len(asked) == stage["n"] == 3 * N_LABELLING
    assert prompt_tokens["low"] == prompt_tokens["mid"] == actual
    assert sum(row["prompt_tokens"]["mid"] for row in stage["sources"].values()) == actual

    run = Run(tmp_path / "bytes", tokenizer)
    run.teacher = Teacher(count, **never)
    stage = run.forecast_with(anchors)[0]["stages"]["labelling"]
    assert stage["prompts"] == "estimated"
    assert stage["total"]["prompt_tokens"]["mid"] == pytest.approx(actual, rel=0.03)


def test_anchors_of_an_earlier_run_make_the_first_forecast_labellings_own(tmp_path, tokenizer):
    run = Run(tmp_path, tokenizer)
    anchors = real_anchors()
    forecast, _ = run.forecast_before(anchors)
    assert forecast["stages"]["labelling"]["provisional"] is False
    pilot = forecast["stages"]["labelling"]["pilot"]
    again, paid = run.forecast_with(anchors)
    assert paid == again["stages"]["labelling"]["pilot"]["calls"] - pilot["calls"]


def test_without_a_pilot_nothing_is_asked(tmp_path, tokenizer):
    run = Run(tmp_path, tokenizer, pilot_calls=0)
    forecast, paid = run.forecast_before()
    assert paid == 0 and list(forecast["stages"]) == ["discovery"]
    assert forecast["stages"]["discovery"]["total"]["completion_tokens"] == {
        "low": 0,
        "mid": None,
        "high": 3 * N_DISCOVERY * 4096,
    }
    assert any("only bounded" in note for note in forecast["assumed"])
    forecast, paid = run.forecast_with(real_anchors())
    assert paid == 0 and forecast["stages"]["labelling"]["total"]["seconds"] is None


def test_the_pilot_of_a_stage_that_goes_in_batches_is_live(tmp_path, tokenizer):
    live = Run(tmp_path / "live", tokenizer).forecast_with(real_anchors())[0]["stages"]["labelling"]
    run = Run(tmp_path, tokenizer, mode="batch", batch={"price_share": 0.5})
    forecast, paid = run.forecast_with(real_anchors())
    stage = forecast["stages"]["labelling"]
    assert paid == stage["pilot"]["calls"]
    assert stage["total"]["seconds"] is None
    assert stage["total"]["money"]["mid"] == pytest.approx(live["total"]["money"]["mid"] / 2)
    assert stage["pilot"]["money"] == pytest.approx(live["pilot"]["money"])
    assert any("promised within 24h" in note for note in forecast["assumed"])


def test_rejected_questions_are_counted_and_end_nothing(tmp_path, tokenizer):
    run = Run(tmp_path, tokenizer)
    run.teacher = Teacher(token_counter(tokenizer), refuses=lambda number: number % 3 == 0)
    forecast, _ = run.forecast_with(real_anchors())
    stage = forecast["stages"]["labelling"]
    assert stage["pilot"]["rejected"] > 0.2 * stage["pilot"]["questions"]
    rejected = stage["total"]["rejected"]
    assert rejected["low"] <= N_LABELLING <= rejected["high"]


def test_a_teacher_that_answers_nothing_usable_ends_the_forecast(tmp_path, tokenizer):
    run = Run(tmp_path, tokenizer)
    run.teacher = Teacher(token_counter(tokenizer), refuses=lambda number: True)
    with pytest.raises(UserError, match=r"None of the 20 questions .* usable"):
        run.forecast_before()
    assert len(run.teacher.asked) == 40


def test_durations_come_from_the_journal(tmp_path, tokenizer):
    run = Run(tmp_path, tokenizer, concurrency=4)
    anchors = real_anchors()
    run.forecast_with(anchors)

    async def slow_down(means):
        slow = Journal(tmp_path / "slow", payer="r")
        for entry in means.journal.iter_entries():
            kept = {name: value for name, value in entry.items() if name not in ("key", "call")}
            await slow.put(entry["key"], {**kept, "seconds": 2.0})
        slow.close()

    run.ask(slow_down)
    run.config = parse_config(
        {**run.settings, "teacher": {**run.settings["teacher"], "journal": str(tmp_path / "slow")}}
    )
    forecast, paid = run.forecast_with(anchors)
    total = forecast["stages"]["labelling"]["total"]
    assert paid == 0
    assert total["seconds"]["mid"] == pytest.approx(2.0 * total["calls"]["mid"] / 4, rel=0.01)
    assert total["seconds"]["low"] <= total["seconds"]["mid"] <= total["seconds"]["high"]


# --- the command ---------------------------------------------------------------------------------


SNAKEFILE = """
import json, pathlib

rule merge_labelling:
    input: "results/r/labelling/forecast.json"
    output: "results/r/labelling/cost.json"
    run: pathlib.Path(output[0]).write_text("{{}}")

rule forecast_labelling:
    input: "results/r/discovery/cost.json"
    output: "results/r/labelling/forecast.json"
    run: pathlib.Path(output[0]).write_text(json.dumps({labelling}))

rule discover_points:
    input: "results/r/discovery/forecast.json"
    output: "results/r/discovery/cost.json"
    run: pathlib.Path(output[0]).write_text("{{}}")

rule forecast_discovery:
    output: "results/r/discovery/forecast.json"
    run:
        {before}
        pathlib.Path(output[0]).write_text(json.dumps({discovery}))
"""


def write_workflow(folder, run, before="pass"):
    """A workflow of the real one's rules, which writes forecasts made beforehand."""
    forecast, _ = run.forecast_before()
    only = {**forecast, "stages": {"labelling": forecast["stages"]["labelling"]}, "assumed": []}
    text = SNAKEFILE.format(discovery=forecast, labelling=only, before=before)
    (folder / "Snakefile").write_text(text)
    write_json(run.config.model_dump(), folder / "config.json")
    return folder / "config.json"


@pytest.fixture
def workflow(tmp_path, tokenizer, monkeypatch):
    run = Run(tmp_path, tokenizer)
    monkeypatch.chdir(tmp_path)
    return run, write_workflow(tmp_path, run)


def test_the_command_makes_the_forecast_that_is_due(workflow, capfd):
    _, configfile = workflow
    text = forecast_run(configfile)
    assert "results/r/discovery/forecast.json" in text
    assert f"discovery: {3 * N_DISCOVERY} records" in text
    assert f"labelling: {3 * N_LABELLING} records" in text
    assert "up to 30 questions" in capfd.readouterr().err
    assert not Path("results/r/discovery/cost.json").exists()
    assert forecast_run(configfile) == text
    assert capfd.readouterr().err == ""
    Path("results/r/discovery/cost.json").write_text("{}")
    text = forecast_run(configfile)
    assert text.startswith("results/r/labelling/forecast.json") and "discovery:" not in text


def test_other_settings_make_it_anew_until_its_stage_has_begun(workflow):
    run, _ = workflow
    target = Path("results/r/discovery/forecast.json")
    write_json({"made_with": made_with(run.config.teacher)}, target)
    assert not is_outdated(run.config, target)
    teacher = {**run.settings["teacher"], "pilot_calls": 12}
    other = parse_config({**run.settings, "teacher": teacher})
    assert is_outdated(other, target)
    write_json({}, "results/r/discovery/cost/qa-1.json")
    assert not is_outdated(other, target)
    assert "No call is paid" in say_payments(
        parse_config({**run.settings, "teacher": {**teacher, "pilot_calls": 0}}), target
    )


def test_the_command_passes_on_what_snakemake_says(tmp_path, tokenizer, monkeypatch):
    run = Run(tmp_path, tokenizer)
    configfile = write_workflow(tmp_path, run, before='raise ValueError("the pilot failed")')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"(?s)Snakemake ended .*the pilot failed"):
        forecast_run(configfile)
    monkeypatch.chdir("/")
    with pytest.raises(UserError, match="no Snakefile in /"):
        forecast_run(configfile)
