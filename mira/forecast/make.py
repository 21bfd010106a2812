"""The two forecasts of a run: before its anchors exist, and with them (ours).

Before, discovery is forecast with its own questions, and labelling with provisional anchors made
from the pilot's judgment points. With the anchors, labelling is forecast with its own questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mira.asking import ask_freely, ask_on_anchors
from mira.config import Config, Teacher
from mira.forecast.counting import PromptSizer
from mira.forecast.notes import say_assumptions
from mira.forecast.pilot import Pilot
from mira.forecast.provisional import longer_half, provisional_anchors
from mira.forecast.stage import Means, Plan, Slack, forecast_stage
from mira.prompts import build_anchored
from mira.records import FAMILIES
from mira.statistics import LEVEL

_MADE_WITH = {
    *("pilot_calls", "tokenizer", "concurrency", "requests_per_minute", "tokens_per_minute"),
    *("mode", "batch"),
}

# Of the first forecast's pilot; the rest asks about labelling, and is of no other use.
_DISCOVERY_SHARE = 2 / 3

Anchors = Mapping[str, Sequence[Mapping[str, Any]]]
Points = Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass(frozen=True)
class Samples:
    """The sources' groups, and the files of the two samples by source."""

    groups: Mapping[str, str]
    discovery: Mapping[str, Path]
    labelling: Mapping[str, Path]


async def forecast_before_anchors(
    samples: Samples, config: Config, means: Means, anchors: Anchors | None = None
) -> dict[str, Any]:
    """``discovery/forecast.json``: both stages, labelling with provisional anchors.

    ``anchors`` by group, where an earlier run's are taken over, are labelling's own. Without a
    pilot nothing is known of anchors, and labelling is left out.
    """
    calls = config.teacher.pilot_calls
    discovery_calls = round(calls * _DISCOVERY_SHARE)
    plan = Plan(
        stage="discovery",
        samples=samples.discovery,
        groups=samples.groups,
        askings=dict.fromkeys(
            samples.discovery,
            ask_freely(config.discovery.dimensions_per_record, config.teacher.max_chars),
        ),
        calls=discovery_calls,
    )
    discovery, pilot = await forecast_stage(plan, means)
    stages = {"discovery": discovery}
    points = _points_by_group(pilot, samples.groups)
    if anchors is not None:
        plan = _plan_labelling(samples, anchors, config, calls - discovery_calls)
        stages["labelling"], _ = await forecast_stage(plan, means)
    elif all(points.values()):
        plan = _plan_provisionally(samples, points, config, calls - discovery_calls, means)
        stages["labelling"], _ = await forecast_stage(plan, means)
    return _complete(stages, config, means)


async def forecast_with_anchors(
    samples: Samples, config: Config, means: Means, anchors: Anchors
) -> dict[str, Any]:
    """``labelling/forecast.json``: labelling, with its own ``anchors`` by group."""
    plan = _plan_labelling(samples, anchors, config, config.teacher.pilot_calls)
    labelling, _ = await forecast_stage(plan, means)
    return _complete({"labelling": labelling}, config, means)


def made_with(teacher: Teacher) -> dict[str, Any]:
    """The settings that decide a forecast and no label."""
    return teacher.model_dump(include=_MADE_WITH)


def _plan_labelling(samples: Samples, anchors: Anchors, config: Config, calls: int) -> Plan:
    askings = {
        group: ask_on_anchors(rows, config.teacher.max_chars) for group, rows in anchors.items()
    }
    return Plan(
        stage="labelling",
        samples=samples.labelling,
        groups=samples.groups,
        askings={source: askings[samples.groups[source]] for source in samples.labelling},
        calls=calls,
    )


def _plan_provisionally(
    samples: Samples, points: Points, config: Config, calls: int, means: Means
) -> Plan:
    """Labelling with anchors made from the points; at least one reference a slot is certain."""
    k, n_references = config.anchoring.k, config.anchoring.references
    usual = {group: provisional_anchors(rows, k, n_references) for group, rows in points.items()}
    slack = {}
    for group, rows in points.items():
        least = provisional_anchors(rows, k, n_references, n_bands=1)
        most = provisional_anchors(longer_half(rows), k, n_references)
        size, smallest, largest = (_size(one, means.sizer) for one in (usual[group], least, most))
        slack[group] = Slack(max(0, size - smallest), max(0, largest - size))
    plan = _plan_labelling(samples, usual, config, calls)
    by_source = {source: slack[samples.groups[source]] for source in samples.labelling}
    return replace(plan, provisional=True, slack=by_source)


def _size(anchors: Sequence[Mapping[str, Any]], sizer: PromptSizer) -> int:
    """What a prompt with these anchors takes beside the record."""
    return sizer.size(build_anchored("", FAMILIES[0], anchors))


def _points_by_group(pilot: Pilot, groups: Mapping[str, str]) -> dict[str, list[Any]]:
    """The pilot's judgment points; those of all groups where a group has none."""
    points: dict[str, list[Any]] = {group: [] for group in sorted(set(groups.values()))}
    for piloted in pilot.piloted:
        points[groups[piloted.question.source]].extend(piloted.outcome.value or ())
    everything = [point for found in points.values() for point in found]
    return {group: found or everything for group, found in points.items()}


def _complete(stages: dict[str, Any], config: Config, means: Means) -> dict[str, Any]:
    teacher = config.teacher
    return {
        "stages": stages,
        "level": LEVEL,
        "seed": means.seed,
        "teacher": teacher.model,
        "stand_in": teacher.kind == "embedded",
        "made_with": made_with(teacher),
        "prices": teacher.prices.model_dump(),
        "currency": "the unit of teacher.prices",
        "assumed": say_assumptions(stages, config),
    }
