"""The forecast of one stage: its pilot, then tokens, money and time for it and for each source."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mira.asking import Asking
from mira.forecast.bounds import bounded_row
from mira.forecast.counting import PromptSizer, measure_source
from mira.forecast.estimate import DRAWS, MIN_CALLS, Prediction, Totals, interval, predict
from mira.forecast.pilot import Pilot, Question, Read, ask_pilot, draw_pilot
from mira.forecast.terms import Terms
from mira.seeds import derive_rng
from mira.teacher.journal import Journal
from mira.teacher.settings import TeacherSettings

COUNTS = ("calls", "prompt_tokens", "cached_tokens", "completion_tokens", "thinking_tokens")


class Slack(NamedTuple):
    """By how much one prompt may be smaller or larger than it is measured."""

    less: int
    more: int


@dataclass(frozen=True)
class Plan:
    """What a stage will ask; ``samples``, ``groups`` and ``askings`` are by source.

    ``calls`` of its questions make the pilot. Where the anchors are ``provisional``, the stage's
    own questions will be others, their prompts smaller or larger by up to ``slack`` (by source).
    """

    stage: str
    samples: Mapping[str, Path]
    groups: Mapping[str, str]
    askings: Mapping[str, Asking[Any]]
    calls: int
    provisional: bool = False
    slack: Mapping[str, Slack] = field(default_factory=dict)


@dataclass(frozen=True)
class Means:
    """Whom to ask, where replies are kept, how prompts are measured, and the run's seed."""

    settings: TeacherSettings
    journal: Journal
    sizer: PromptSizer
    seed: int


async def forecast_stage(plan: Plan, means: Means) -> tuple[dict[str, Any], Pilot]:
    """A stage's entry of ``forecast.json``, and the pilot it rests on.

    Raises UserError as ``ask_pilot`` does.
    """
    measured = [
        measure_source(path, plan.askings[source].build, means.sizer)
        for source, path in sorted(plan.samples.items())
    ]
    records = pd.concat([part for part in measured if len(part)], ignore_index=True)
    drawn = draw_pilot(records, plan.calls, seed=means.seed, stage=plan.stage)
    pilot = await ask_pilot(
        _questions(drawn, plan), means.settings, means.journal, means.sizer, plan.stage
    )
    table = _tabulate(records, pilot, plan)
    terms = Terms.of(means.settings)
    entry: dict[str, Any] = {
        "n": len(records),
        "provisional": plan.provisional,
        "pilot": _describe(pilot),
    }
    if len(pilot.calls) < MIN_CALLS:
        return {**entry, **_bounded(table, terms, means.sizer.in_tokens)}, pilot
    prediction = predict(
        table,
        pilot.calls,
        derive_rng(means.seed, "forecast", plan.stage),
        in_tokens=means.sizer.in_tokens,
    )
    slots = _slots(table, plan.groups, terms.concurrency)
    return {**entry, **_predicted(table, prediction, terms, slots)}, pilot


def _questions(drawn: pd.DataFrame, plan: Plan) -> list[tuple[list[Question], Read]]:
    """The drawn questions of each way of asking, with its reader."""
    groups: dict[Asking, list[Question]] = {}
    for source, rows in drawn.groupby("source", sort=True):
        asking = plan.askings[str(source)]
        wanted = [("id", "in", list(rows["id"]))]
        texts = pd.read_parquet(plan.samples[str(source)], columns=["id", "text"], filters=wanted)
        text = dict(zip(texts["id"], texts["text"], strict=True))
        groups.setdefault(asking, []).extend(
            Question(str(source), asking.build(text[id_], family), int(size))
            for id_, family, size in zip(rows["id"], rows["family"], rows["size"], strict=True)
        )
    return [(questions, asking.read) for asking, questions in groups.items()]


def _tabulate(records: pd.DataFrame, pilot: Pilot, plan: Plan) -> pd.DataFrame:
    """The table that ``predict`` takes, one row per source."""
    by_source = records.groupby("source", sort=True)
    table = by_source.agg(family=("family", "first"), n=("id", "size"), size=("size", "sum"))
    own = int(not plan.provisional)
    asked = pd.DataFrame(
        {
            "source": [one.question.source for one in pilot.piloted],
            "asked": 1,
            "asked_again": [int(one.asked_again) for one in pilot.piloted],
            "rejected": [int(one.rejected) for one in pilot.piloted],
            "done": own,
            "done_size": [own * one.question.size for one in pilot.piloted],
        }
    )
    sums = asked.groupby("source").sum().reindex(table.index, fill_value=0)
    table = table.join(sums.astype("int64"))
    slack = [plan.slack.get(str(source), Slack(0, 0)) for source in table.index]
    table["less"] = table["n"] * [one.less for one in slack]
    table["more"] = table["n"] * [one.more for one in slack]
    return table


def _slots(table: pd.DataFrame, groups: Mapping[str, str], concurrency: int) -> np.ndarray:
    """Calls in flight while a source is asked: its group may have fewer than the limit."""
    group = pd.Series({source: groups[str(source)] for source in table.index})
    questions = table["n"].groupby(group).transform("sum")
    return np.minimum(questions.to_numpy(dtype=float), concurrency)


def _describe(pilot: Pilot) -> dict[str, Any]:
    return {
        "questions": len(pilot.piloted),
        "calls": len(pilot.calls),
        "paid_calls": pilot.paid,
        "asked_again": sum(piloted.asked_again for piloted in pilot.piloted),
        "rejected": sum(piloted.rejected for piloted in pilot.piloted),
        "cut_off": sum(call.cut_off for call in pilot.calls),
        "tokens": sum(call.usage.total_tokens for call in pilot.calls),
        "money": sum(piloted.outcome.charge.money for piloted in pilot.piloted),
    }


def _bounded(table: pd.DataFrame, terms: Terms, in_tokens: bool) -> dict[str, Any]:
    def row(rows: pd.DataFrame) -> dict[str, Any]:
        n, size = int(rows["n"].sum()), int(rows["size"].sum())
        return bounded_row(n, size, terms, in_tokens=in_tokens)

    return {
        "prompts": "counted" if in_tokens else "bounded",
        "total": row(table),
        "sources": {str(source): row(table.loc[[source]]) for source in table.index},
    }


def _predicted(
    table: pd.DataFrame, prediction: Prediction, terms: Terms, slots: np.ndarray
) -> dict[str, Any]:
    work = np.array([totals["seconds"][0] for totals in prediction.rows])
    in_flight = work.sum() / (work / slots).sum() if work.any() else 1.0
    total = _row(prediction.total, terms, in_flight, prediction.timed)
    sources = {}
    for number, (source, n) in enumerate(table["n"].items()):
        row = _row(prediction.rows[number], terms, slots[number], prediction.timed)
        sources[str(source)] = {"n": int(n), "pooled": prediction.pooled[number], **row}
    total = {"n": int(table["n"].sum()), "pooled": False, **total}
    return {
        "prompts": prediction.prompts,
        "draws": DRAWS,
        "pool": [source for source, row in sources.items() if row["pooled"]],
        "total": total,
        "sources": sources,
    }


def _row(totals: Totals, terms: Terms, in_flight: float, timed: bool) -> dict[str, Any]:
    """Ranges of everything that a source or a stage takes."""
    longest = totals["calls"] * terms.max_reply_tokens
    completion = np.minimum(totals["completion_tokens"], longest)
    totals = {**totals, "completion_tokens": completion}
    tokens = totals["prompt_tokens"] + completion
    call_seconds = totals["seconds"] / in_flight if timed else None
    seconds = terms.seconds(call_seconds, totals["calls"], tokens)
    return {
        **{name: _range(totals[name], whole=True) for name in (*COUNTS, "rejected")},
        "tokens": _range(tokens, whole=True),
        "money": _range(terms.money(totals)),
        "seconds": None if seconds is None else _range(seconds),
    }


def _range(values: np.ndarray, *, whole: bool = False) -> dict[str, float]:
    low, mid, high = interval(values)
    if whole:
        low, mid, high = math.floor(low), round(mid), math.ceil(high)
    return {"low": low, "mid": mid, "high": high}
