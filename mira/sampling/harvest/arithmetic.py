"""Worked problems as questions and answers, each answer checked by evaluating its claim."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from fractions import Fraction

from mira.sampling.harvest.algebra import ALGEBRA
from mira.sampling.harvest.base import Draft, HarvestSettings, attempts, conversation
from mira.sampling.harvest.draw import Draw
from mira.sampling.harvest.problems import ARITHMETIC, Problem

MAKERS = (*ARITHMETIC, *ALGEBRA)

_REQUESTS = (
    "{question}",
    "{question} Show your working.",
    "Please solve this step by step. {question}",
    "{question} I would like to see every step.",
    "Homework help: {question}",
    "Can you help me with this one? {question}",
)
_OPENINGS = ("Let us do it step by step.", "Here is the working.", "Solution:", "", "")
_CLOSINGS = ("Answer: {answer}", "So the result is {answer}.", "**{answer}**", "Result: {answer}")
_CHECKS = ("As a check, `{check}` is true in Python.", "Verified: `{check}`.")


def worked_math(settings: HarvestSettings) -> Iterator[Draft]:
    """Problems of all kinds in turn, from terse to fully worked answers (ours).

    ``meta["check"]`` is the Python expression that was evaluated to check the answer.
    """
    for index in attempts(settings):
        draw = Draw(settings.seed, "harvest", "worked_math", index)
        maker = MAKERS[index % len(MAKERS)]
        problem = maker(draw)
        if not holds(problem.check):
            raise AssertionError(f"{maker.__name__} gave a wrong answer: {problem.check}")
        question = draw.pick(_REQUESTS).format(question=problem.question)
        meta = {
            "origin": f"generated:{maker.__module__.rsplit('.', 1)[-1]}",
            "kind": maker.__name__,
            "licence": None,
            "check": problem.check,
        }
        yield Draft(conversation(question, _answer(problem, draw)), meta)


def holds(check: str) -> bool:
    """Whether a problem's check expression (written by this package only) is true."""
    names = {"math": math, "statistics": statistics, "Fraction": Fraction}
    return eval(check, names) is True


def _answer(problem: Problem, draw: Draw) -> str:
    style = draw.pick(("numbered", "numbered", "lines", "bullets", "prose", "terse"))
    steps = problem.steps
    if style == "terse":
        steps = steps[-1:]
    closing = draw.pick(_CLOSINGS).format(answer=problem.answer)
    working = {
        "numbered": "\n".join(f"{i}. {step}" for i, step in enumerate(steps, 1)),
        "bullets": "\n".join(f"- {step}" for step in steps),
        "prose": " ".join(step if step.endswith(".") else f"{step}." for step in steps),
    }.get(style, "\n".join(steps))
    parts = [draw.pick(_OPENINGS) if style != "terse" else "", working, closing]
    if style != "terse" and draw.chance(0.3) and len(problem.check) < 120:
        parts.append(draw.pick(_CHECKS).format(check=problem.check))
    return "\n\n".join(part for part in parts if part)
