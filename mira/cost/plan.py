"""From what a user asks to what is computed, with every figure that goes into it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mira.cost.assumptions import (
    DTYPES,
    Assumption,
    gpu_figures,
    serving_figures,
    work_figures,
)
from mira.cost.lengths import Lengths, SourceLengths, all_lengths, equal_lengths, read_lengths
from mira.cost.shapes import StudentShape, read_shape
from mira.cost.work import Serving, Work
from mira.errors import UserError

Readout = Literal["sample", "greedy", "expected"]

_SHARES = {"mfu", "decode_efficiency"}
_MAY_BE_ZERO = {"prompt_tokens", "rubric_tokens"}


@dataclass(frozen=True)
class Request:
    """What to price. ``figures`` replaces assumptions by their names; None keeps the default."""

    records: float | None = None
    tokens_per_record: float | None = None
    corpus: Path | None = None
    model: str = "qwen3.5-35b-a3b"
    gpu: str = "h200"
    dtype: str = "bfloat16"
    tensor_parallel: int = 1
    gpus: int = 8
    readout: Readout = "sample"
    one_pass: bool = False
    cached: bool = True
    figures: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """A request with its numbers in place. ``figures`` are the assumptions by name."""

    request: Request
    shape: StudentShape
    sources: tuple[SourceLengths, ...]
    lengths: Lengths
    work: Work
    serving: Serving
    figures: Mapping[str, Assumption]


def make_plan(request: Request) -> Plan:
    """Check a request and fill in what it leaves open. Raises UserError for what is wrong."""
    if request.dtype not in DTYPES:
        raise UserError(f"--dtype '{request.dtype}': expected one of {', '.join(DTYPES)}.")
    if request.gpus < 1 or request.tensor_parallel < 1 or request.gpus % request.tensor_parallel:
        raise UserError(
            f"--gpus {request.gpus} should be a multiple of --tensor-parallel "
            f"{request.tensor_parallel}: each replica takes that many."
        )
    if request.one_pass and request.readout != "expected":
        raise UserError(
            "--one-pass reads scores without writing them: it needs --readout expected."
        )
    figures = _figures(request)
    sources, lengths = _lengths(request, figures)
    return Plan(
        request=request,
        shape=read_shape(request.model),
        sources=sources,
        lengths=lengths,
        work=_work(request, figures),
        serving=serving_of(request, figures, request.tensor_parallel),
        figures=figures,
    )


def serving_of(request: Request, figures: Mapping[str, Assumption], gpus: int) -> Serving:
    """A replica of ``gpus`` GPUs with these figures."""
    value = {name: figure.value for name, figure in figures.items()}
    return Serving(
        gpu=request.gpu.upper(),
        dtype=request.dtype,
        gpus=gpus,
        memory=value["memory_gb"] * 1e9,
        bandwidth=value["bandwidth_tb_s"] * 1e12,
        matmul=value["matmul_tflop_s"] * 1e12,
        link=value["link_gb_s"] * 1e9,
        price=value["price"],
        mfu=value["mfu"],
        decode_efficiency=value["decode_efficiency"],
        memory_share=value["memory_share"],
        reserve=value["reserve_gb"] * 1e9,
        max_sequences=int(value["max_sequences"]),
    )


def _figures(request: Request) -> dict[str, Assumption]:
    known = {**gpu_figures(request.gpu), **serving_figures(request.dtype), **work_figures()}
    for name, value in request.figures.items():
        _check_figure(name, value)
        known[name] = known[name].or_given(value)
    return known


def _check_figure(name: str, value: float | None) -> None:
    if value is None:
        return
    lowest = value >= 0 if name in _MAY_BE_ZERO else value > 0
    highest = value <= 1 if name in _SHARES else value < float("inf")
    if not (lowest and highest):
        above = "at least 0" if name in _MAY_BE_ZERO else "above 0"
        upto = " and at most 1" if name in _SHARES else ""
        raise UserError(f"{option(name)} should be {above}{upto}, found {value:g}.")


def option(name: str) -> str:
    """The option that replaces an assumption."""
    return "--gpu-price" if name == "price" else "--" + name.replace("_", "-")


def _lengths(
    request: Request, figures: Mapping[str, Assumption]
) -> tuple[tuple[SourceLengths, ...], Lengths]:
    if request.corpus is None:
        if request.records is None or request.tokens_per_record is None:
            raise UserError(
                "How long the records are is missing: give --records and --tokens-per-record, or "
                "--corpus results/<run>/sampling/corpus."
            )
        return (), equal_lengths(request.records, request.tokens_per_record)
    if request.tokens_per_record is not None:
        raise UserError(
            "--tokens-per-record and --corpus both say how long the records are: give one of "
            "them. (--records beside --corpus scales the corpus up.)"
        )
    sources = tuple(read_lengths(request.corpus, int(figures["max_record_tokens"].value)))
    lengths = all_lengths(sources)
    if request.records is not None:
        if not 0 < request.records < float("inf"):
            raise UserError(f"--records should be a number above 0, found {request.records:g}.")
        lengths = lengths.scaled(request.records)
    return sources, lengths


def _work(request: Request, figures: Mapping[str, Assumption]) -> Work:
    written = "score_tokens" if request.readout == "expected" else "rationale_tokens"
    return Work(
        prompt=figures["prompt_tokens"].value,
        cached=request.cached,
        output=figures[written].value,
        one_pass=request.one_pass,
        slots=int(figures["slots"].value),
    )
