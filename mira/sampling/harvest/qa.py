"""Questions and answers made from docstrings, doctests and numpydoc parameters."""

from __future__ import annotations

import doctest
from collections.abc import Iterator

from mira.sampling.harvest.arithmetic import worked_math
from mira.sampling.harvest.base import (
    Draft,
    Harvester,
    HarvestSettings,
    conversation,
    make_harvester,
)
from mira.sampling.harvest.docstrings import (
    NUMPYDOC_PACKAGES,
    Documented,
    documented_for,
    parameters,
    sections,
    summary,
)
from mira.sampling.harvest.draw import Draw
from mira.sampling.harvest.exceptions import exceptions_explained
from mira.sampling.harvest.pieces import shorten

_ANSWER_LIMIT = 6000

_WHAT = (
    "What does `{name}` do?",
    "Can you explain what `{name}` is for?",
    "I came across `{short}` from `{parent}` in some code. What is it for?",
    "In one answer: what is `{name}` and when would I want it?",
    "Please describe `{signature}` in `{parent}`.",
    "What is the purpose of the {kind} `{name}`?",
    "I am reading code that uses `{short}`. What does this {kind} of `{parent}` do exactly?",
    "Explain the {kind} `{short}` ({parent}) to somebody who has not used it.",
)
_USE = (
    "How do I call `{name}`?",
    "Which arguments does `{name}` take and what do they mean?",
    "Show me the signature of `{name}` and how it is meant to be used.",
    "I want to use `{short}` from `{parent}`. What do I pass to it?",
)
_RETURNS = (
    "What does `{name}` return?",
    "What do I get back when I call `{short}` from `{parent}`?",
    "Which value (and type) comes out of `{name}`?",
)
_RAISES = (
    "When does `{name}` raise an exception?",
    "Which errors should I expect from `{short}` in `{parent}`?",
)
_DETAILS = (
    "Is there anything subtle to know about `{name}`?",
    "What should I watch out for when using `{short}` from `{parent}`?",
    "Give me the background on `{name}`: how does it work?",
)


def _docstring_qa(settings: HarvestSettings) -> Iterator[Draft]:
    packages = (*NUMPYDOC_PACKAGES, "pydantic", "aiohttp", "jinja2", "rich", "requests", "sympy")
    for item, draw in documented_for("docstring_qa", settings, packages, _tells_enough):
        parts = sections(item.doc)
        aspects = [name for name in ("Returns", "Raises", "Notes", "Parameters") if name in parts]
        aspect = draw.pick(aspects) if aspects and draw.chance(0.45) else ""
        question, answer = _ask(item, aspect, parts, draw)
        yield Draft(conversation(question, answer), item.meta)


def _tells_enough(item: Documented) -> bool:
    return item.kind != "module" and len(item.doc) >= 60


def _ask(item: Documented, aspect: str, parts: dict[str, str], draw: Draw) -> tuple[str, str]:
    forms = {"": _WHAT, "Parameters": _USE, "Returns": _RETURNS, "Raises": _RAISES}
    question = _fill(draw.pick(forms.get(aspect, _DETAILS)), item)
    lead = parts[""]
    if aspect == "":
        return question, shorten(_describe(item, parts, draw), _ANSWER_LIMIT)
    body = parts[aspect]
    call = f"```python\n{item.signature}\n```"
    if aspect == "Parameters":
        answer = f"{summary(lead)}\n\n{call}\n\nThe parameters are:\n\n{body}"
    elif draw.chance(0.5):
        answer = body
    else:
        answer = f"{summary(lead)}\n\n{body}"
    return question, shorten(answer, _ANSWER_LIMIT)


def _describe(item: Documented, parts: dict[str, str], draw: Draw) -> str:
    """From a single sentence to the whole docstring: answers differ in how much they tell."""
    depth = draw.pick(("sentence", "lead", "lead", "call", "whole"))
    lead = parts[""]
    if depth == "sentence" and len(lead) >= 120:
        return summary(lead)
    if depth == "whole":
        return item.doc
    if depth == "call" and item.kind != "class":
        usage = f"It is called like this:\n\n```python\n{item.signature}\n```"
        returns = parts.get("Returns")
        return "\n\n".join([lead, usage, *([f"It returns:\n\n{returns}"] if returns else [])])
    opening = f"`{item.short_name}` is a {item.kind} in `{_parent(item)}`."
    return f"{opening} {lead}" if draw.chance(0.5) else lead


_PARAMETER_QUESTIONS = (
    "What does the parameter `{parameter}` of `{name}` mean?",
    "In `{name}`, what is `{parameter}` for?",
    "What should I pass as `{parameter}` to `{short}` ({parent})?",
    "Explain the `{parameter}` argument of `{name}`.",
    "`{short}` from `{parent}` takes `{parameter}`. Which values does it accept and what changes?",
    "I do not understand `{parameter}` in the call `{short}({parameter}=...)`. What does it do?",
)


def _numpydoc_params(settings: HarvestSettings) -> Iterator[Draft]:
    found = documented_for(
        "numpydoc_params",
        settings,
        NUMPYDOC_PACKAGES,
        lambda item: "Parameters\n---" in item.doc,
        needle="Parameters\n",
        stdlib=False,
    )
    for item, draw in found:
        parts = sections(item.doc)
        entries = parameters(parts.get("Parameters", ""))
        if not entries:
            continue
        chosen = draw.sample(entries, 3 if draw.chance(0.15) else 1)
        names = ", ".join(entry.name for entry in chosen)
        question = _fill(draw.pick(_PARAMETER_QUESTIONS), item).replace("{parameter}", names)
        answers = []
        for entry in chosen:
            typed = f" ({entry.type})" if entry.type else ""
            answers.append(f"`{entry.name}`{typed}: {entry.description}")
        answer = "\n\n".join(answers)
        if draw.chance(0.5):
            answer += f"\n\nFor context, `{item.short_name}` does this: {summary(parts[''])}"
        if draw.chance(0.3):
            answer += f"\n\nThe whole signature is `{item.signature}`."
        yield Draft(conversation(question, answer), {**item.meta, "parameter": names})


_PREDICT = (
    "What does this session print?",
    "Work out the output of the following lines.",
    "I typed this into Python. What do I see?",
    "What is the result of running these statements one after the other?",
)
_SHOW = (
    "Show me a worked example of `{name}`.",
    "How do I use `{short}` from `{parent}`? An example session would help.",
    "Give me a short interactive session that shows what `{name}` does.",
    "Can you demonstrate `{short}` ({parent}) with input and output?",
)


def _doctest_qa(settings: HarvestSettings) -> Iterator[Draft]:
    packages = (*NUMPYDOC_PACKAGES, "sympy")
    found = documented_for(
        "doctest_qa", settings, packages, lambda item: ">>>" in item.doc, needle=">>>"
    )
    for item, draw in found:
        blocks = _session(item.doc)
        if blocks is None:
            continue
        blocks = _first_examples(blocks, draw.whole(2, 9))
        examples = [b for b in blocks if isinstance(b, doctest.Example)]
        if not any(example.want for example in examples):
            continue
        lead = summary(item.doc)
        if draw.chance(0.5):
            inputs = "\n".join(_typed(example) for example in examples)
            question = f"{draw.pick(_PREDICT)}\n\n```python\n{inputs}\n```"
            shown = _told(blocks) if draw.chance(0.5) else _transcript(examples)
            closing = f"`{item.short_name}` ({_parent(item)}): {lead}"
            answer = f"{shown}\n\n{closing}" if draw.chance(0.7) else shown
        else:
            question = _fill(draw.pick(_SHOW), item)
            shown = _told(blocks) if draw.chance(0.7) else _transcript(examples)
            answer = f"{lead}\n\n{shown}" if draw.chance(0.75) else shown
        yield Draft(conversation(question, shorten(answer, _ANSWER_LIMIT)), item.meta)


def _session(doc: str) -> list[str | doctest.Example] | None:
    if ">>>" not in doc:
        return None
    try:
        return doctest.DocTestParser().parse(doc)
    except ValueError:  # a docstring whose examples are not laid out as doctest asks
        return None


def _first_examples(blocks: list[str | doctest.Example], count: int) -> list:
    """The blocks from the first example to the ``count``-th, and on to one with output."""
    kept: list[str | doctest.Example] = []
    seen = 0
    for block in blocks:
        if isinstance(block, doctest.Example):
            seen += 1
            kept.append(block)
            if seen >= count and block.want:
                break
        elif seen:
            kept.append(block)
    while kept and not isinstance(kept[-1], doctest.Example):
        kept.pop()
    return kept


def _typed(example: doctest.Example) -> str:
    first, *rest = example.source.rstrip("\n").split("\n")
    return "\n".join([f">>> {first}", *(f"... {line}" for line in rest)])


def _transcript(examples: list[doctest.Example]) -> str:
    lines = [f"{_typed(e)}\n{e.want}".rstrip("\n") for e in examples]
    return "```python\n" + "\n".join(lines) + "\n```"


def _told(blocks: list) -> str:
    """The session with the docstring's own sentences between its code blocks."""
    told: list[str] = []
    run: list[doctest.Example] = []
    for block in [*blocks, "end"]:
        if isinstance(block, doctest.Example):
            run.append(block)
        elif block.strip():
            if run:
                told.append(_transcript(run))
                run = []
            told.append(block.strip())
    return "\n\n".join(told[:-1])


def _parent(item: Documented) -> str:
    return item.name.rpartition(".")[0] or item.name


def _fill(template: str, item: Documented) -> str:
    values = {
        "{name}": item.name,
        "{short}": item.short_name,
        "{parent}": _parent(item),
        "{signature}": item.signature,
        "{kind}": item.kind,
    }
    for key, value in values.items():
        template = template.replace(key, value)
    return template


QA_HARVESTERS: tuple[Harvester, ...] = (
    make_harvester(
        "docstring_qa",
        "qa",
        "What a function or class does, takes, returns or raises, answered by its docstring.",
        _docstring_qa,
    ),
    make_harvester(
        "doctest_qa",
        "qa",
        "What an interactive session prints, or how to use a thing, answered by doctests.",
        _doctest_qa,
    ),
    make_harvester(
        "numpydoc_params",
        "qa",
        "What a parameter means, answered from numpydoc Parameters sections.",
        _numpydoc_params,
    ),
    make_harvester(
        "exceptions_explained",
        "qa",
        "Programs that were run and failed: their traceback explained, and the repaired run.",
        exceptions_explained,
    ),
    make_harvester(
        "worked_math",
        "qa",
        "Arithmetic and algebra worked step by step by a program and checked.",
        worked_math,
    ),
)
