"""``python -m mira scoring cost``: what scoring a corpus will take, before it is spent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from mira.cost.assumptions import Assumption
from mira.cost.basis import comparison_basis, estimate_basis
from mira.cost.compare import Comparison, compare
from mira.cost.estimate import Estimate, estimate
from mira.cost.lengths import SourceLengths
from mira.cost.plan import Plan, Request, make_plan
from mira.cost.render import CAVEATS, render_comparison, render_estimate, render_lengths
from mira.errors import UserError


def price_scoring(
    request: Request, *, comparing: bool = False, lengths: bool = False, as_json: bool = False
) -> str:
    """One estimate, or with ``comparing`` a table of ways to score, as text or one JSON object.

    ``lengths`` adds a line per source of a corpus. Raises UserError for what is wrong in the
    request, and where the student does not fit the GPUs.
    """
    plan = make_plan(request)
    if lengths and not plan.sources:
        raise UserError("--lengths shows the lengths of a corpus: give --corpus.")
    shown = plan.sources if lengths else ()
    if comparing:
        comparison = compare(plan)
        if as_json:
            return _dump(_comparison_json(plan, comparison), comparison_basis(plan), shown)
        text = render_comparison(plan, comparison)
    else:
        made = estimate(plan.shape, plan.lengths, plan.work, plan.serving)
        inert = _inert(plan)
        if as_json:
            return _dump(_estimate_json(plan, made, inert), estimate_basis(plan), shown)
        text = render_estimate(plan, made, inert)
    return f"{render_lengths(shown)}\n\n{text}" if shown else text


def _inert(plan: Plan) -> Estimate | None:
    """The same with a prefix cache that finds nothing; None where that changes nothing, or where
    it would not fit.
    """
    if not plan.work.cached or not plan.work.prompt:
        return None
    try:
        uncached = replace(plan.work, cached=False)
        return estimate(plan.shape, plan.lengths, uncached, plan.serving)
    except UserError:
        return None


def _estimate_json(plan: Plan, made: Estimate, inert: Estimate | None) -> dict[str, Any]:
    request = plan.request
    return {
        "request": _request_json(request),
        **_costs(made),
        "wall_hours": made.wall_hours(request.gpus),
        "gpus": request.gpus,
        "if_cache_is_inert": _costs(inert) if inert else None,
    }


def _comparison_json(plan: Plan, comparison: Comparison) -> dict[str, Any]:
    return {
        "request": _request_json(plan.request),
        "tensor_parallel": comparison.parallel,
        "rows": [
            {
                "answer": row.answer,
                "prompt": row.prompt,
                "single": _costs(row.single) if row.single else None,
                "parallel": _costs(row.parallel) if row.parallel else None,
            }
            for row in comparison.rows
        ],
        "prefill_added_by_tensor_parallel": comparison.added,
        "problems": comparison.problems,
    }


def _costs(made: Estimate) -> dict[str, Any]:
    writing = made.decoding
    return {
        "gpu_hours": made.hours,
        "prefill_gpu_hours": made.prefill_hours,
        "decode_gpu_hours": made.decode_hours,
        "traffic_gpu_hours": made.traffic_hours,
        "money": made.money,
        "prefill_flop": made.flop,
        "sequences_per_replica": made.sequences,
        "decode_step_ms": 1e3 * writing.seconds if writing else None,
        "decode_tokens_per_s": writing.tokens_per_second if writing else None,
    }


def _request_json(request: Request) -> dict[str, Any]:
    given = {name: value for name, value in request.figures.items() if value is not None}
    corpus = str(request.corpus) if request.corpus else None
    return {**asdict(request), "corpus": corpus, "figures": given}


def _dump(
    found: dict[str, Any], basis: Sequence[Assumption], sources: Sequence[SourceLengths]
) -> str:
    whole = {
        **found,
        "assumptions": [asdict(figure) for figure in basis],
        "caveats": CAVEATS,
        **({"sources": [asdict(source) for source in sources]} if sources else {}),
    }
    return json.dumps(whole, indent=2)
