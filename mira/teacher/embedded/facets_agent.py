"""Facets of agent traces: tool calls, replies, and what the agent says (all ours)."""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import lru_cache
from itertools import pairwise
from typing import Any

from mira.records import Family
from mira.teacher.embedded import lexicon
from mira.teacher.embedded.facet import Finding, curve, facet, quote, share
from mira.teacher.embedded.turns import Call, Document, reports_error

AGENT: tuple[Family, ...] = ("agent",)
_JSON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}
_UNKNOWN_TOOL = re.compile(
    r"(?:unknown|no such|undefined|invalid|unsupported) (?:tool|function|action|command)"
    r"|command not found",
    re.I,
)
_TOKEN = re.compile(r"[A-Za-z_][\w./-]{3,}|\d+(?:\.\d+)?")
_DONE = re.compile(
    r"\b(?:answer|result|total|found|fixed|done|complete[d]?|passes|succe"
    r"|therefore|there (?:is|are)|now)\b|是|完成",
    re.I,
)


@facet(
    "Tool-call Validity",
    "Tool Call Format",
    "Well-formed Tool Calls",
    "Tool Argument Correctness",
    measures="Share of tool calls whose arguments are exactly one JSON object",
    phrases=("Malformed tool calls", "Some malformed calls", "Well-formed tool calls"),
    families=AGENT,
    weight=2.5,
    flaw=True,
    typical=9.5,
)
def call_validity(doc: Document) -> Finding | None:
    """Arguments that a tool runner could parse."""
    if not doc.calls:
        return None
    broken = [call for call in doc.calls if not call.valid]
    part = 1 - len(broken) / len(doc.calls)
    score = curve(part, (0, 0), (0.5, 2.5), (0.8, 5), (0.99, 7.5), (1, 9.8))
    seen = f", not {quote(broken[0].raw, 20)}" if broken else ""
    return Finding(score, f"{len(doc.calls) - len(broken)} of {len(doc.calls)} calls parse{seen}")


@facet(
    "Argument Schema Adherence",
    "Argument Correctness",
    "Schema Compliance",
    "Parameter Accuracy",
    measures="Called arguments against the declared parameters: names, types, required ones",
    phrases=("Arguments break the schema", "Some arguments off", "Arguments fit the schema"),
    families=AGENT,
    weight=1.5,
    flaw=True,
    typical=10.0,
)
def schema_adherence(doc: Document) -> Finding | None:
    """Only where tools are declared with parameters."""
    declared = _declared(doc)
    known = [call for call in doc.calls if declared.get(call.name)]
    if not known:
        return None
    faults = [fault for call in known for fault in _faults(call, declared[call.name])]
    score = curve(len(faults) / len(known), (0, 9.8), (0.1, 7), (0.5, 4), (1, 2), (2, 0))
    seen = f": {faults[0]}" if faults else ""
    return Finding(score, f"{len(faults)} argument faults in {len(known)} calls{seen}")


def _declared(doc: Document) -> dict[str, dict[str, Any]]:
    """Tools and their parameter schemas, from JSON in the system turn."""
    return _read_declarations(doc.said("system"))


@lru_cache(maxsize=64)
def _read_declarations(text: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    decoder = json.JSONDecoder()
    position, tries = 0, 0
    while (match := re.compile(r"[\[{]").search(text, position)) and tries < 200:
        tries += 1
        try:
            value, position = decoder.raw_decode(text, match.start())
        except ValueError:
            position = match.end()
            continue
        for tool in value if isinstance(value, list) else [value]:
            tool = tool.get("function", tool) if isinstance(tool, dict) else {}
            if isinstance(tool, dict) and isinstance(tool.get("name"), str):
                schema = tool.get("parameters")
                found[tool["name"]] = schema if isinstance(schema, dict) else {}
    return found


def _faults(call: Call, schema: dict[str, Any]) -> list[str]:
    if not call.valid:
        return ["arguments unreadable"]
    properties = schema.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    required = schema.get("required")
    required = required if isinstance(required, list) else []
    faults = [f"{name} missing" for name in required if name not in call.value]
    for name, value in call.value.items():
        spec = properties.get(name)
        if properties and spec is None:
            faults.append(f"{name} not declared")
        elif isinstance(spec, dict) and not _fits(value, spec.get("type")):
            faults.append(f"{name} of wrong type")
    return [" ".join(quote(fault, 30).strip("'").split()) for fault in faults]


def _fits(value: Any, kind: Any) -> bool:
    if not isinstance(kind, str) or kind not in _JSON_TYPES:
        return True
    if isinstance(value, bool) and kind in ("integer", "number"):
        return False
    return isinstance(value, _JSON_TYPES[kind])


@facet(
    "Tool Selection",
    "Appropriate Tool Use",
    "Tool Choice",
    "Tool Use Appropriateness",
    measures="Called tools that are declared, exist, and suit their task",
    phrases=("Wrong tools", "Tool choice partly right", "Suitable tools"),
    families=AGENT,
    weight=1.5,
    flaw=True,
    typical=8.5,
)
def tool_selection(doc: Document) -> Finding | None:
    """Undeclared or unknown tools, and calls that got no answer."""
    if not doc.calls:
        return Finding(2.5, "no tool was called") if _declared(doc) else None
    declared = _declared(doc)
    text = doc.said("system", "user")
    unknown = sum(bool(call.reply and _UNKNOWN_TOOL.search(call.reply[:200])) for call in doc.calls)
    strange = sum(
        bool(declared) and c.name not in declared and c.name not in text for c in doc.calls
    )
    silent = sum(call.reply is None for call in doc.calls)
    bad = min(len(doc.calls), unknown + strange + 0.5 * silent)
    score = curve(bad / len(doc.calls), (0, 9), (0.15, 6.5), (0.4, 4), (1, 1))
    score -= 0.5 * (len({call.name for call in doc.calls}) == 1 and len(doc.calls) > 8)
    return Finding(
        score, f"{unknown + strange} unknown tools, {silent} unanswered of {len(doc.calls)} calls"
    )


@facet(
    "Error Recovery",
    "Recovery from Errors",
    "Error Handling in the Trace",
    "Self-correction",
    measures="After an error reply, whether the next call differs and a later one succeeds",
    phrases=("Never recovers", "Recovers late", "Recovers from errors"),
    families=AGENT,
    weight=2.0,
    flaw=True,
    typical=8.0,
)
def error_recovery(doc: Document) -> Finding | None:
    """Only traces in which something failed."""
    if not any(call.failed for call in doc.calls):
        return None
    changed = healed = errors = 0
    for position, call in enumerate(doc.calls):
        if not call.failed:
            continue
        errors += 1
        later = doc.calls[position + 1 :]
        changed += bool(later) and (later[0].name, later[0].raw) != (call.name, call.raw)
        healed += any(not after.failed and after.reply is not None for after in later[:4])
    score = 0.5 + 3.5 * changed / errors + 5.5 * healed / errors
    return Finding(score, f"{errors} errors, {changed} answered by a new attempt, {healed} healed")


@facet(
    "Action Efficiency",
    "Efficiency",
    "Economy of Actions",
    "No Wasted Calls",
    measures="Share of calls that do not repeat an earlier call, and length of the trace",
    phrases=("Repeats itself", "Some wasted calls", "No wasted calls"),
    families=AGENT,
    weight=1.5,
    flaw=True,
    typical=9.0,
)
def efficiency(doc: Document) -> Finding | None:
    """Identical calls are waste; so are very many."""
    if not doc.calls:
        return None
    counts = Counter((call.name, " ".join(call.raw.split())) for call in doc.calls)
    repeats = len(doc.calls) - len(counts)
    score = curve(repeats / len(doc.calls), (0, 9.5), (0.1, 7), (0.3, 4.5), (0.6, 1.5), (0.9, 0))
    score -= curve(len(doc.calls), (6, 0), (15, 1), (40, 3))
    return Finding(score, f"{repeats} of {len(doc.calls)} calls repeat an earlier one")


@facet(
    "Execution Success",
    "Tool Execution Success",
    "Action Success Rate",
    "Successful Actions",
    measures="Share of tool replies that are not errors, late ones counting more",
    phrases=("Most actions fail", "Some actions fail", "Actions succeed"),
    families=AGENT,
    weight=1.5,
    flaw=True,
    typical=9.0,
)
def execution(doc: Document) -> Finding | None:
    """Weighted by position, so that a trace that ends well scores better."""
    if not doc.replies:
        return Finding(2.0, "no tool reply in the trace") if doc.calls else None
    failed = [reports_error(reply) for reply in doc.replies]
    weights = [1 + i / len(failed) for i in range(len(failed))]
    good = sum(w for w, bad in zip(weights, failed, strict=True) if not bad) / sum(weights)
    score = curve(good, (0, 0), (0.3, 2.5), (0.6, 5), (0.85, 7.5), (1, 9.5))
    return Finding(score, f"{sum(failed)} of {len(failed)} tool replies are errors")


@facet(
    "Information Gain",
    "Progress per Step",
    "Exploration Value",
    "Useful Observations",
    measures="Tool replies that are neither empty nor seen before",
    phrases=("Learns nothing new", "Some steps bring nothing", "Each step brings news"),
    families=AGENT,
    typical=8.0,
)
def information_gain(doc: Document) -> Finding | None:
    """Share of replies with new content."""
    if not doc.replies:
        return None
    seen: set[str] = set()
    fresh = 0
    for reply in doc.replies:
        key = " ".join(reply.split())[:2000]
        fresh += bool(key) and key not in seen
        seen.add(key)
    score = curve(fresh / len(doc.replies), (0.1, 0.5), (0.4, 4), (0.7, 6.5), (0.9, 8.5), (1, 9.5))
    score -= 2 * (len(doc.replies) == 1 and len(doc.replies[0]) < 10)
    return Finding(score, f"{fresh} of {len(doc.replies)} replies bring something new")


@facet(
    "Evidence for Claims",
    "Groundedness",
    "Faithfulness to Observations",
    "Claim Support",
    measures="Numbers and identifiers of the final answer that occur in tool replies or the task",
    phrases=("Claims lack evidence", "Claims partly supported", "Claims rest on observations"),
    families=AGENT,
    weight=2.0,
    flaw=True,
    typical=6.5,
)
def evidence(doc: Document) -> Finding | None:
    """What the final answer says, looked up in what was seen."""
    claims = set(lexicon.NUMBER.findall(doc.final_answer)) | {
        match.strip("`()") for match in lexicon.REFERENCE.findall(doc.final_answer)
    }
    claims.discard("")
    if not doc.final_answer:
        return None
    if not doc.replies:
        return Finding(2.0 if claims else 4.0, f"{len(claims)} claims and no observation")
    observed = "\n".join(doc.replies)
    if not claims:
        words, seen = set(lexicon.terms(doc.final_answer)), set(lexicon.terms(observed[:12_000]))
        part = share(len(words & seen), len(words))
        return Finding(
            curve(part, (0, 3), (0.3, 6.5), (0.8, 9)),
            f"{part:.0%} of the answer's terms were observed",
        )
    held = {claim for claim in claims if claim in observed}
    told = {claim for claim in claims - held if claim in doc.question}
    part = (len(held) + 0.6 * len(told)) / len(claims)
    score = curve(part, (0, 1), (0.3, 4), (0.6, 6.5), (1, 9.5))
    lost = sorted(claims - held - told)
    example = f", not {quote(lost[0], 16)}" if lost else ""
    return Finding(score, f"{len(held) + len(told)} of {len(claims)} claims seen before{example}")


@facet(
    "Goal Achievement",
    "Task Completion",
    "Task Success",
    "Outcome Quality",
    measures="A final answer on the task's terms, after a last action that did not fail",
    phrases=("Task not achieved", "Task partly achieved", "Task achieved"),
    families=AGENT,
    weight=2.5,
    flaw=True,
    typical=4.0,
)
def goal(doc: Document) -> Finding | None:
    """Ending of the trace against its opening."""
    final = doc.final_answer
    last_failed = bool(doc.calls) and (doc.calls[-1].failed or doc.calls[-1].reply is None)
    asked = set(lexicon.terms(doc.task[:4000]))
    told = set(lexicon.terms(final or "\n".join(turn.text for turn in doc.turns[-2:])))
    part = share(len(asked & told), min(len(asked), 12))
    score = 5.0 if final else 3.0
    score += curve(part, (0, -2), (0.2, 0.5), (0.5, 2.5), (1, 3.5)) + 1.0 * bool(
        _DONE.search(final)
    )
    score -= 2.5 * last_failed
    state = "final answer given" if final else "no final answer"
    return Finding(score, f"{state}, {part:.0%} on the task{', last action failed' * last_failed}")


@facet(
    "Plan Transparency",
    "Plan Quality / Reasoning Transparency",
    "Reasoning Transparency",
    "Planning Quality",
    measures="Share of calls preceded by a stated thought, and its length",
    phrases=("Acts without a word", "Explains some actions", "Explains its actions"),
    families=AGENT,
    typical=5.5,
)
def plan(doc: Document) -> Finding | None:
    """Thoughts before actions."""
    if not doc.calls:
        return None
    thoughts = [len(lexicon.words(call.thought[:2000])) for call in doc.calls]
    told = sum(size >= 4 for size in thoughts)
    score = curve(told / len(thoughts), (0, 1), (0.3, 4), (0.7, 6.5), (1, 8))
    score += curve(sum(thoughts) / len(thoughts), (4, 0), (15, 1), (40, 2))
    return Finding(score, f"{told} of {len(thoughts)} calls come with a stated thought")


@facet(
    "Multi-turn Coherence",
    "Conversation Coherence",
    "Consistency Across Turns",
    "Context Retention",
    measures="Terms that each turn takes up from the turns before it",
    phrases=("Turns do not connect", "Turns connect loosely", "Turns build on each other"),
    families=AGENT,
    weight=1.5,
    flaw=True,
    typical=7.5,
)
def turn_coherence(doc: Document) -> Finding | None:
    """Overlap of assistant turns and calls with the two turns before and the task."""
    turns = [turn for turn in doc.turns if turn.role != "system" and turn.text][:60]
    bags = [set(lexicon.terms(turn.text[:1500])) for turn in turns]
    if len(bags) < 3:
        return None
    parts = []
    for position in range(1, len(bags)):
        if turns[position].role in ("assistant", "tool_call") and bags[position]:
            before = bags[position - 1] | bags[max(0, position - 2)] | bags[0]
            parts.append(len(bags[position] & before) / min(12, len(bags[position])))
    if not parts:
        return None
    level = min(1.0, sum(min(1.0, part) for part in parts) / len(parts))
    score = curve(level, (0.05, 0.5), (0.2, 3.5), (0.4, 6), (0.65, 8), (0.9, 10))
    return Finding(score, f"turns take up {level:.0%} of their terms from before")


@facet(
    "Grounded Next Steps",
    "Use of Observations",
    "Observation Use",
    "Context-aware Arguments",
    measures="Call arguments whose names and numbers were seen earlier in the trace",
    phrases=("Guesses its arguments", "Partly guided by observations", "Guided by observations"),
    families=AGENT,
    flaw=True,
    typical=8.0,
)
def next_steps(doc: Document) -> Finding | None:
    """Tokens of the arguments looked up in all that came before the call."""
    if not doc.calls:
        return None
    known = used = 0
    seen: set[str] = set()
    position = 0
    for call in doc.calls[:60]:
        for turn in doc.turns[position : call.turn]:
            seen.update(_TOKEN.findall(turn.text[:4000]))
        position = call.turn
        tokens = set(_TOKEN.findall(call.raw[:1500]))
        known, used = known + len(tokens), used + len(tokens & seen)
    if not known:
        return None
    score = curve(used / known, (0.05, 1), (0.3, 4.5), (0.6, 7), (0.95, 9.5))
    return Finding(score, f"{used} of {known} argument words were seen before")


@facet(
    "Communication Conciseness",
    "Concise Communication",
    "Verbosity",
    "Brevity of Messages",
    measures="Words in each message of the agent, filler, and messages said twice",
    phrases=("Wordy or repetitive messages", "Could be briefer", "Brief and clear messages"),
    families=AGENT,
    typical=7.0,
)
def communication(doc: Document) -> Finding | None:
    """Between 8 and 60 words a message is best."""
    said = [turn.text for turn in doc.turns if turn.role == "assistant" and turn.text]
    if not said:
        return Finding(3.0, "the agent says nothing")
    counts = [len(lexicon.words(text[:6000])) for text in said]
    mean = sum(counts) / len(counts)
    twice = len(said) - len(set(said))
    filler = sum(len(lexicon.FILLER.find(text)) for text in said)
    score = curve(mean, (1, 4), (8, 8), (25, 9.5), (60, 8), (150, 5), (500, 2))
    score -= 4 * twice / len(said) + min(2.0, 40 * filler / max(20, sum(counts)))
    return Finding(score, f"{mean:.0f} words a message, {twice} said twice, {filler} fillers")


@facet(
    "Protocol Order",
    "Turn Order",
    "Trace Integrity",
    "Action-Observation Order",
    measures="Replies follow calls, calls are answered, the user opens, the assistant closes",
    phrases=("Turns out of order", "Small gaps in the order", "Orderly trace"),
    families=AGENT,
    weight=1.5,
    flaw=True,
    typical=6.0,
)
def protocol(doc: Document) -> Finding | None:
    """The shape of the trace."""
    roles = [turn.role for turn in doc.turns if turn.role != "system"]
    if len(roles) < 2:
        return Finding(1.0, f"{len(roles)} turns only")
    orphans = sum(b == "tool" and a not in ("tool", "tool_call") for a, b in pairwise(roles))
    orphans += max(0, len(doc.replies) - len(doc.calls))
    silent = sum(call.reply is None for call in doc.calls)
    faults = orphans + silent
    score = curve(
        faults / max(1, len(doc.calls) + len(doc.replies)), (0, 9.5), (0.1, 6), (0.5, 2.5), (1, 0.5)
    )
    score -= 1.5 * (roles[0] != "user") + 2.5 * (roles[-1] != "assistant")
    return Finding(
        score, f"{orphans} orphan replies, {silent} unanswered calls, ends with {roles[-1]}"
    )


FACETS = (
    call_validity,
    schema_adherence,
    tool_selection,
    error_recovery,
    efficiency,
    execution,
    information_gain,
    evidence,
    goal,
    plan,
    turn_coherence,
    next_steps,
    communication,
    protocol,
)
