"""Actual calls, tokens and money against what was forecast."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

QUANTITIES = ("calls", "tokens", "money")

# The same money, added up in another order.
_ROUNDING = 1e-9


def actual_totals(bills: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """A stage's records, calls, tokens and money from the bills of its groups.

    All calls count, whoever paid for them and when: the forecast is of all.
    """
    totals: dict[str, float] = dict.fromkeys(("records", *QUANTITIES), 0)
    for bill in bills:
        tokens = bill["tokens"]
        totals["records"] += bill["records"]
        totals["calls"] += bill["calls"]
        totals["tokens"] += tokens["prompt_tokens"] + tokens["completion_tokens"]
        totals["money"] += bill["money"]
    return totals


def compare(stage: Mapping[str, Any], actual: Mapping[str, float]) -> dict[str, Any]:
    """By quantity: low, mid, high and actual, and whether the actual is ``inside``.

    ``inside`` is None where other records were asked than the forecast is for, as with a learning
    curve that ended early.
    """
    total = stage["total"]
    comparable = actual["records"] == total["n"]
    compared = {
        name: {**total[name], "actual": actual[name], "inside": None} for name in QUANTITIES
    }
    if comparable:
        for ends in compared.values():
            slack = _ROUNDING * ends["actual"]
            ends["inside"] = ends["low"] - slack <= ends["actual"] <= ends["high"] + slack
    return {"records": {"forecast": total["n"], "actual": actual["records"]}, **compared}


def compare_run(
    before_anchors: Mapping[str, Any] | None,
    with_anchors: Mapping[str, Any],
    bills: Mapping[str, Mapping[str, Mapping[str, Any]]],
) -> dict[str, Any]:
    """Section ``forecast`` of ``cost.json``: both stages, and labelling's earlier forecast.

    The first two are ``discovery/forecast.json``, None where nothing had to be discovered, and
    ``labelling/forecast.json``; ``bills`` has the groups' bills by stage.
    """
    actual = {stage: actual_totals(groups.values()) for stage, groups in bills.items()}
    labelling = compare(with_anchors["stages"]["labelling"], actual["labelling"])
    if before_anchors is None:
        return {"labelling": labelling}
    stages = before_anchors["stages"]
    compared = {
        "discovery": compare(stages["discovery"], actual["discovery"]),
        "labelling": labelling,
    }
    if "labelling" in stages:
        earlier = compare(stages["labelling"], actual["labelling"])
        compared["labelling_before_anchors"] = earlier
    return compared
