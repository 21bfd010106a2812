"""Playing a script: an agent that does a task well, or fails at it in one of the usual ways."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mira.sampling.harvest.agent_tools import Toolbox, Trace
from mira.sampling.harvest.base import Draft, HarvestSettings, attempts
from mira.sampling.harvest.draw import Draw

BAD_SHARE = 0.25
FAULTS = (
    "malformed_arguments",
    "no_recovery",
    "wrong_tool",
    "unsupported_claim",
    "stops_early",
    "loops",
)


@dataclass(frozen=True)
class Call:
    """One tool call, before it is made."""

    tool: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Step:
    """A call with what the agent thinks before it, and a slip it may make first."""

    call: Call
    thought: str = ""
    slip: Call | None = None
    after_slip: str = ""


@dataclass(frozen=True)
class Script:
    """A task with the steps that solve it, its answer, and what a careless agent would claim."""

    kind: str
    task: str
    steps: list[Step]
    answer: str
    evidence: str
    claim: str
    plan: str = ""
    origin: str = ""


@dataclass(frozen=True)
class Manner:
    """How careful and talkative an agent is in one run."""

    plans: bool
    thinks: bool
    cites: bool
    slips: bool
    pairs: bool

    @classmethod
    def drawn(cls, draw: Draw) -> Manner:
        """A manner drawn trait by trait."""
        return cls(
            plans=draw.chance(0.4),
            thinks=draw.chance(0.65),
            cites=draw.chance(0.6),
            slips=draw.chance(0.3),
            pairs=draw.chance(0.25),
        )


@dataclass(frozen=True)
class Stage:
    """Where a script is played: fresh tools, and the system message that introduces them."""

    toolbox: Toolbox
    system: str
    script: Script
    licence: str | None = None
    meta: dict[str, Any] = field(default_factory=dict)


def play_all(
    source: str, settings: HarvestSettings, prepare: Callable[[Draw, int], Stage]
) -> list[Draft]:
    """Traces of ``source``; about a quarter of the runs go wrong (ours).

    ``meta["run"]`` says ``good`` or ``bad:<fault>``; it is provenance, not for other stages.
    """
    drafts = []
    for index in attempts(settings):
        draw = Draw(settings.seed, "harvest", source, index)
        stage = prepare(draw, index)
        fault = draw.pick(FAULTS) if draw.chance(BAD_SHARE) else None
        messages = play(stage, fault, draw)
        meta = {
            "origin": stage.script.origin or f"generated:{source}",
            "kind": stage.script.kind,
            "licence": stage.licence,
            "run": f"bad:{fault}" if fault else "good",
            **stage.meta,
        }
        drafts.append(Draft(messages, meta))
        if len(drafts) >= settings.max_records + settings.max_records // 10:
            break
    return drafts


def play(stage: Stage, fault: str | None, draw: Draw) -> list[dict[str, Any]]:
    """Run the script with its real tools; a ``fault`` is one of :data:`FAULTS`, None is well."""
    trace = Trace(stage.toolbox)
    if stage.system:
        trace.add("system", stage.system)
    trace.add("user", stage.script.task)
    if fault is None:
        _play_well(trace, stage.script, Manner.drawn(draw), draw)
    else:
        _PLAYERS[fault](trace, stage.script, draw)
    return trace.messages


def _play_well(trace: Trace, script: Script, manner: Manner, draw: Draw) -> None:
    plan = script.plan if manner.plans else ""
    steps = list(script.steps)
    slip_at = _slip_index(steps, draw) if manner.slips else None
    index = 0
    while index < len(steps):
        step = steps[index]
        thought = step.thought if manner.thinks else ""
        if index == 0 and plan:
            thought = f"{plan}\n{thought}".strip()
        if index == slip_at and step.slip:
            trace.call(step.slip.tool, step.slip.arguments, thought)
            thought = step.after_slip or draw.pick(_CORRECTIONS)
        following = steps[index + 1] if index + 1 < len(steps) else None
        if (
            manner.pairs
            and following
            and following.call.tool == step.call.tool
            and index != slip_at
        ):
            calls = [(s.call.tool, s.call.arguments) for s in (step, following)]
            trace.call_all(calls, thought)
            index += 2
            continue
        trace.call(step.call.tool, step.call.arguments, thought)
        index += 1
    trace.add("assistant", _closing(script, manner, draw))


_CORRECTIONS = (
    "That call failed; I will correct the arguments.",
    "The error says what is wrong, so I try again with the right values.",
    "My mistake. Again, this time as the tool expects it.",
)


def _closing(script: Script, manner: Manner, draw: Draw) -> str:
    if not manner.cites:
        return script.answer
    return draw.pick(
        (
            f"{script.answer}\n\nEvidence: {script.evidence}",
            f"{script.answer} I take this from what I saw: {script.evidence}",
            f"{script.evidence[0].upper()}{script.evidence[1:]}\n\nSo: {script.answer}",
        )
    )


def _slip_index(steps: list[Step], draw: Draw) -> int | None:
    possible = [index for index, step in enumerate(steps) if step.slip]
    return draw.pick(possible) if possible else None


def _play_malformed(trace: Trace, script: Script, draw: Draw) -> None:
    """Sends the same broken JSON again and again."""
    failing = draw.whole(0, min(1, len(script.steps) - 1))
    for step in script.steps[:failing]:
        trace.call(step.call.tool, step.call.arguments)
    call = script.steps[failing].call
    raw = _broken_json(json.dumps(call.arguments), draw)
    for _ in range(draw.whole(2, 5)):
        trace.call(
            call.tool, raw, draw.pick(("", "", "Trying again.", "Let me call it once more."))
        )
    trace.add("assistant", draw.pick((script.claim, "The tool does not work. I give up.")))


def _play_no_recovery(trace: Trace, script: Script, draw: Draw) -> None:
    """Meets an error and does nothing about it."""
    index = _slip_index(script.steps, draw)
    at = 0 if index is None else index
    for step in script.steps[:at]:
        trace.call(step.call.tool, step.call.arguments)
    slip = script.steps[at].slip or Call(script.steps[at].call.tool, {"input": script.task[:20]})
    trace.call(slip.tool, slip.arguments, script.steps[at].thought if draw.chance(0.5) else "")
    trace.add(
        "assistant",
        draw.pick(
            (
                "There was an error, so I could not find out.",
                f"I got an error, but most likely: {script.claim}",
                script.claim,
                "An error occurred. Please check it yourself.",
            )
        ),
    )


def _play_wrong_tool(trace: Trace, script: Script, draw: Draw) -> None:
    """Calls tools that do not exist or do not help."""
    invented = ("search_web", "run_command", "python", "ask_expert", "lookup")
    used = {step.call.tool for step in script.steps}
    useless = [name for name in trace.toolbox.tools if name not in used]
    for _ in range(draw.whole(2, 4)):
        step = draw.pick(script.steps)
        if useless and draw.chance(0.5):
            trace.call(draw.pick(useless), step.call.arguments)
        else:
            trace.call(draw.pick(invented), {"query": script.task[: draw.whole(20, 60)]})
    trace.add("assistant", draw.pick((script.claim, "The tools gave me nothing useful.")))


def _play_unsupported(trace: Trace, script: Script, draw: Draw) -> None:
    """Claims a result that no tool gave."""
    for step in script.steps[: draw.whole(0, 1)]:
        trace.call(step.call.tool, step.call.arguments)
    boast = draw.pick(("I have checked this carefully.", "I am sure.", "This is well known.", ""))
    trace.add("assistant", f"{script.claim} {boast}".strip())


def _play_stops_early(trace: Trace, script: Script, draw: Draw) -> None:
    """Does the first steps and leaves the task there."""
    for step in script.steps[: max(1, len(script.steps) // 2)]:
        trace.call(step.call.tool, step.call.arguments, step.thought if draw.chance(0.5) else "")
    trace.add(
        "assistant",
        draw.pick(
            (
                "I have made a good start. Let me know if I should go on.",
                "Done.",
                "The output above should help you with that.",
                "I looked into it. There is more to do, but I will stop here.",
            )
        ),
    )


def _play_loops(trace: Trace, script: Script, draw: Draw) -> None:
    """Repeats one call without looking at its reply."""
    step = draw.pick(script.steps[:2])
    for _ in range(draw.whole(3, 6)):
        trace.call(step.call.tool, step.call.arguments, draw.pick(("", step.thought, "Once more.")))
    trace.add("assistant", draw.pick((script.claim, "I keep getting the same output.")))


def _broken_json(raw: str, draw: Draw) -> str:
    broken = (
        raw[:-1],
        raw.replace('"', "'"),
        raw.replace(":", " =", 1),
        raw[:-1] + ",}",
        raw.replace('"', "", 2),
    )
    return draw.pick(broken)


_PLAYERS: dict[str, Callable[[Trace, Script, Draw], None]] = {
    "malformed_arguments": _play_malformed,
    "no_recovery": _play_no_recovery,
    "wrong_tool": _play_wrong_tool,
    "unsupported_claim": _play_unsupported,
    "stops_early": _play_stops_early,
    "loops": _play_loops,
}
