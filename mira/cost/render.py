"""An estimate or a comparison as text for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from mira.cost.assumptions import Assumption
from mira.cost.basis import comparison_basis, estimate_basis
from mira.cost.compare import Comparison
from mira.cost.estimate import Estimate
from mira.cost.lengths import SourceLengths
from mira.cost.plan import Plan
from mira.report.wording import ABSENT, count, duration, short_count

CAVEATS = (
    "A formula, held against one published H200 run; mira has measured nothing on a GPU. Expect "
    "30 % either way at 8K tokens and above.",
    "On short records (1K to 2K) that run was 1.1 to 1.4 times slower than the formula.",
    "Loading, compiling, restarts and idle GPUs at the end of a run are left out.",
    "Money is GPU-hours times price, nothing else.",
)

_FEW = 16


def render_estimate(plan: Plan, made: Estimate, inert: Estimate | None) -> str:
    """The bill and what it rests on; ``inert`` is the same with a prefix cache that finds
    nothing.
    """
    parts = [_title(plan), align(_bill(plan, made), left=2)]
    if made.decoding is not None and made.sequences < _FEW:
        parts.append(
            f"Only {made.sequences} sequences fit beside the weights, so that each step reads all "
            f"weights for few tokens. More GPUs per replica (--tensor-parallel) or --dtype fp8 "
            f"make room."
        )
    if inert is not None:
        parts.append(
            f"If the prefix cache finds nothing: {inert.hours:,.0f} GPU-hours, "
            f"$ {inert.money:,.0f} ({inert.hours / made.hours:.2f} times). On hybrid models it "
            f"often does, silently: check the engine's counter."
        )
    return "\n\n".join([*parts, *_basis(estimate_basis(plan))])


def render_comparison(plan: Plan, comparison: Comparison) -> str:
    """A row per way to score, one GPU per replica beside several."""
    base = comparison.rows[0].single
    head = ["answer (tokens)", "prompt (tokens)", "GPU-hours", "money", "cheaper"]
    head += [f"at TP {comparison.parallel}", "TP costs"]
    lines = [head]
    for row in comparison.rows:
        one, many = row.single, row.parallel
        lines.append(
            [
                row.answer,
                row.prompt,
                f"{one.hours:,.0f}" if one else ABSENT,
                f"$ {one.money:,.0f}" if one else ABSENT,
                f"{base.hours / one.hours:.1f}x" if base and one else ABSENT,
                f"{many.hours:,.0f}" if many else ABSENT,
                f"{many.hours / one.hours:.2f}x" if many and one else ABSENT,
            ]
        )
    parts = [_title(plan), align(lines, left=2)]
    if comparison.added is not None:
        low, high = comparison.added
        parts.append(
            f"Sums between {comparison.parallel} GPUs add {low:.0%} (in the switch) to {high:.0%} "
            f"(ring) to the prefill of records, unless overlapped; the table has the ring. "
            f"Latency of small sums is left out, so that writing at TP is dearer still."
        )
    parts += [f"{ABSENT}: {problem}" for problem in comparison.problems]
    return "\n\n".join([*parts, *_basis(comparison_basis(plan))])


def render_lengths(sources: Sequence[SourceLengths]) -> str:
    """A line per source: how many records, how long, and how many were cut."""
    lines = [["source", "records", "tokens", "mean", "sum(L^2)/sum(L)", "10 %", "50 %", "90 %"]]
    lines[0] += ["longest", "cut"]
    for source in sources:
        lengths = source.lengths
        figures = (lengths.mean, lengths.weighted, *source.percentiles, lengths.longest)
        lines.append(
            [
                source.source,
                count(lengths.records),
                short_count(lengths.tokens),
                *(f"{figure:,.0f}" for figure in figures),
                count(lengths.cut),
            ]
        )
    return align(lines)


def align(lines: Sequence[Sequence[str]], left: int = 1) -> str:
    """Columns of even width, the first ``left`` to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  "
        + "   ".join(
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _title(plan: Plan) -> str:
    request, lengths = plan.request, plan.lengths
    return (
        f"{short_count(lengths.records)} records, {short_count(lengths.tokens)} tokens, on "
        f"{request.gpu.upper()} in {request.dtype}: {plan.shape.name}"
    )


def _bill(plan: Plan, made: Estimate) -> list[list[str]]:
    request = plan.request
    replicas = request.gpus // request.tensor_parallel
    wall = made.wall_hours(request.gpus)
    rows = [
        ["readout", _readout(plan)],
        ["prefill", f"{made.prefill_hours:,.1f} GPU-hours"],
        ["decode", f"{made.decode_hours:,.1f} GPU-hours"],
    ]
    if request.tensor_parallel > 1:
        rows.append(["of these, between GPUs", f"{made.traffic_hours:,.1f} GPU-hours"])
    rows += [
        ["all", f"{made.hours:,.1f} GPU-hours"],
        ["money", f"$ {made.money:,.0f}"],
        ["", f"$ {made.money / plan.lengths.tokens * 1e9:,.2f} per billion record tokens"],
        ["time", f"{duration(wall * 3600)} on {request.gpus} GPUs ({replicas} replicas)"],
        ["sequences at once", f"{made.sequences:,} per replica"],
        ["records", f"{plan.lengths.records / made.hours:,.0f} per GPU-hour"],
    ]
    if made.decoding is not None:
        step = f"{1e3 * made.decoding.seconds:.1f} ms a step"
        rows.append(["writing", f"{made.decoding.tokens_per_second:,.0f} tokens/s, {step}"])
    return rows


def _readout(plan: Plan) -> str:
    if plan.request.one_pass:
        return f"expected, one pass over {plan.work.output:g} tokens"
    return f"{plan.request.readout}, {plan.work.output:g} tokens written"


def _basis(figures: Sequence[Assumption]) -> list[str]:
    lines = [
        [figure.name, f"[{figure.origin}]", _number(figure), figure.source] for figure in figures
    ]
    return [
        "What this rests on:\n" + align(lines, left=4),
        "\n".join(f"- {caveat}" for caveat in CAVEATS),
    ]


def _number(figure: Assumption) -> str:
    text = f"{figure.value:,.0f}" if figure.value >= 1_000 else f"{figure.value:.4g}"
    return f"{text} {figure.unit}".strip()
