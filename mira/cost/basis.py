"""What an estimate rests on: the user's choices, the student's shape, the assumptions."""

from __future__ import annotations

from mira.cost.assumptions import GIVEN, Assumption
from mira.cost.plan import Plan

_GPU_NAMES = ("matmul_tflop_s", "mfu", "memory_gb", "memory_share", "reserve_gb", "max_sequences")
_WRITING_NAMES = ("bandwidth_tb_s", "decode_efficiency")


def estimate_basis(plan: Plan) -> list[Assumption]:
    """Every figure that one estimate uses."""
    request = plan.request
    names = ["prompt_tokens"]
    names += ["score_tokens"] if request.readout == "expected" else ["rationale_tokens"]
    names += ["slots"] if request.one_pass else []
    names += [*_GPU_NAMES, *(() if request.one_pass else _WRITING_NAMES)]
    names += ["link_gb_s"] if request.tensor_parallel > 1 else []
    return _basis(plan, names)


def comparison_basis(plan: Plan) -> list[Assumption]:
    """Every figure that a comparison uses."""
    names = ["prompt_tokens", "rubric_tokens", "rationale_tokens", "score_tokens", "slots"]
    return _basis(plan, [*names, *_GPU_NAMES, *_WRITING_NAMES, "link_gb_s"])


def _basis(plan: Plan, names: list[str]) -> list[Assumption]:
    cut = ["max_record_tokens"] if plan.request.corpus else []
    chosen = [plan.figures[name] for name in [*cut, *names, "price"]]
    return [*_record_figures(plan), *_shape_figures(plan), *chosen]


def _record_figures(plan: Plan) -> list[Assumption]:
    lengths, request = plan.lengths, plan.request
    if request.corpus is None:
        origin, said = GIVEN, "all of one length; lengths that vary cost more attention"
    else:
        origin, said = "measured", f"{request.corpus}, in tokens of that run's tokenizer"
    scaled = request.corpus is not None and request.records is not None
    return [
        Assumption("records", lengths.records, "", GIVEN if scaled else origin, said),
        Assumption("mean length", lengths.mean, "tokens", origin, said),
        Assumption("sum(L^2)/sum(L)", lengths.weighted, "tokens", origin, "decides attention"),
    ]


def _shape_figures(plan: Plan) -> list[Assumption]:
    shape = plan.shape
    rows = [
        ("parameters", shape.parameters().total / 1e9, "G", f"{shape.layers} layers"),
        ("active parameters", shape.active_parameters() / 1e9, "G", "without embedding and head"),
        (
            "linear work",
            shape.linear_flop_per_token() / 1e9,
            "GFLOP/token",
            "2 x active, delta rule",
        ),
        (
            "attention",
            shape.attention_flop_per_position() / 1e3,
            "kFLOP/position",
            f"{shape.full_layers} layers",
        ),
        ("cache", shape.cache_bytes_per_token(), "B/token", "bfloat16"),
        ("state", shape.state_bytes() / 1e6, "MB/sequence", "float32, and the convolution's"),
    ]
    return [Assumption(name, value, unit, "derived", why) for name, value, unit, why in rows]
