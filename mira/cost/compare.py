"""The same corpus read and written in other ways: what each choice costs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mira.cost.decoding import check_divides
from mira.cost.estimate import Estimate, estimate
from mira.cost.plan import Plan, serving_of
from mira.cost.shapes import StudentShape
from mira.cost.traffic import traffic_seconds_per_token
from mira.cost.work import Serving, Work
from mira.errors import UserError

PARALLEL = 8


@dataclass(frozen=True)
class Row:
    """One way to score: its answer and its prompt, on one GPU and on ``Comparison.parallel``.

    None where it does not fit.
    """

    answer: str
    prompt: str
    single: Estimate | None
    parallel: Estimate | None


@dataclass(frozen=True)
class Comparison:
    """All ways. ``added`` is what tensor parallelism adds to prefill, as shares of its time: at
    best (the switch adds) and at worst (a ring), were nothing overlapped.
    """

    parallel: int
    rows: tuple[Row, ...]
    added: tuple[float, float] | None
    problems: tuple[str, ...]


def compare(plan: Plan) -> Comparison:
    """Rationales against scores alone, references cached, uncached and left out, one GPU against
    several (ours).

    What does not fit or cannot be shared out is None, with the reason in ``problems``. Raises
    UserError where nothing at all fits.
    """
    asked = plan.request.tensor_parallel
    gpus = asked if asked > 1 else PARALLEL
    problems: dict[str, None] = {}
    rows = []
    for answer, prompt, work in _ways(plan):
        single = _estimate(plan, work, 1, problems)
        rows.append(Row(answer, prompt, single, _estimate(plan, work, gpus, problems)))
    if all(row.single is None and row.parallel is None for row in rows):
        raise UserError(next(iter(problems)))
    return Comparison(gpus, tuple(rows), _added(plan, gpus), tuple(problems))


def prefill_added(
    shape: StudentShape, serving: Serving, flop_per_token: float
) -> tuple[float, float]:
    """What sums between GPUs add to prefill, as shares of it: in a switch, and as a ring."""
    compute = flop_per_token / (serving.gpus * serving.mfu * serving.matmul)
    switch = traffic_seconds_per_token(shape, replace(serving, in_switch=True))
    ring = traffic_seconds_per_token(shape, replace(serving, in_switch=False))
    return switch / compute, ring / compute


def _ways(plan: Plan) -> list[tuple[str, str, Work]]:
    value = {name: figure.value for name, figure in plan.figures.items()}
    full, rubric = value["prompt_tokens"], value["rubric_tokens"]
    scores, rationales = value["score_tokens"], value["rationale_tokens"]
    slots = int(value["slots"])
    answers = [
        (f"rationales ({rationales:g})", rationales, False),
        (f"scores only ({scores:g})", scores, False),
        (f"expected, one pass ({scores:g})", scores, True),
    ]
    prompts = [
        (f"full, cached ({full:g})", full, True),
        (f"full, uncached ({full:g})", full, False),
        (f"rubric, cached ({rubric:g})", rubric, True),
        ("compact (0)", 0.0, True),
    ]
    return [
        (answer, prompt, Work(tokens, cached, output, one_pass, slots))
        for answer, output, one_pass in answers
        for prompt, tokens, cached in prompts
    ]


def _estimate(plan: Plan, work: Work, gpus: int, problems: dict[str, None]) -> Estimate | None:
    serving = serving_of(plan.request, plan.figures, gpus)
    try:
        return estimate(plan.shape, plan.lengths, work, serving)
    except UserError as error:
        problems.setdefault(str(error))
        return None


def _added(plan: Plan, gpus: int) -> tuple[float, float] | None:
    try:
        check_divides(plan.shape, gpus)
    except UserError:
        return None
    attention = plan.shape.attention_flop_per_position() * plan.lengths.weighted / 2
    flop = plan.shape.linear_flop_per_token() + attention
    return prefill_added(plan.shape, serving_of(plan.request, plan.figures, gpus), flop)
