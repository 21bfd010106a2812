"""``scoring``: what scoring a corpus will take, before it is spent."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

_FIGURES = (
    ("--prompt-tokens", "prompt_tokens", "tokens before the record (6000)"),
    ("--rubric-tokens", "rubric_tokens", "the same without references, for --compare (1000)"),
    ("--rationale-tokens", "rationale_tokens", "answer with rationales (900)"),
    ("--score-tokens", "score_tokens", "answer of scores alone (96)"),
    ("--max-record-tokens", "max_record_tokens", "longer records of --corpus are cut (32768)"),
    ("--gpu-price", "price", "price of one GPU for an hour (by GPU)"),
    ("--mfu", "mfu", "prefill's share of the matmul rate (0.40)"),
    ("--decode-efficiency", "decode_efficiency", "writing's share of bandwidth (by dtype)"),
    ("--max-sequences", "max_sequences", "sequences at once per replica, at most (512)"),
)


def add_commands(commands: Any) -> None:
    """Add the commands to the parser's subcommands."""
    scoring = commands.add_parser("scoring", help="what scoring costs")
    parts = scoring.add_subparsers(dest="part", required=True, metavar="PART")
    cost = parts.add_parser(
        "cost",
        help="GPU-hours, money and time, with every assumption",
        epilog="docs/cost.md derives the formulas.",
    )
    _add_records(cost)
    _add_student(cost)
    for flag, name, about in _FIGURES:
        cost.add_argument(flag, dest=name, type=float, metavar="X", help=about)
    cost.add_argument("--compare", action="store_true", help="a table of ways to score")
    cost.add_argument("--json", action="store_true", help="one JSON object")
    cost.set_defaults(execute=_cost)


def _add_records(cost: argparse.ArgumentParser) -> None:
    cost.add_argument("--records", type=float, help="how many; beside --corpus, scales it")
    cost.add_argument("--tokens-per-record", type=float, help="how long each is")
    cost.add_argument("--corpus", type=Path, help="results/<run>/sampling/corpus: real lengths")
    cost.add_argument("--lengths", action="store_true", help="show the corpus's lengths too")


def _add_student(cost: argparse.ArgumentParser) -> None:
    cost.add_argument("--model", default="qwen3.5-35b-a3b", help="name or config.json")
    cost.add_argument("--readout", choices=("sample", "greedy", "expected"), default="sample")
    cost.add_argument(
        "--one-pass", action="store_true", help="expected: over a skeleton, nothing written"
    )
    cost.add_argument("--prompt-cache", choices=("cached", "uncached"), default="cached")
    cost.add_argument("--gpu", default="h200", help="h200 (default) or h100")
    cost.add_argument("--dtype", choices=("bfloat16", "fp8"), default="bfloat16")
    cost.add_argument("--tensor-parallel", type=int, default=1, help="GPUs per replica (1)")
    cost.add_argument("--gpus", type=int, default=8, help="GPUs in all, for the time (8)")


def _cost(arguments: argparse.Namespace) -> None:
    from mira.cost.command import price_scoring
    from mira.cost.plan import Request

    request = Request(
        records=arguments.records,
        tokens_per_record=arguments.tokens_per_record,
        corpus=arguments.corpus,
        model=arguments.model,
        gpu=arguments.gpu,
        dtype=arguments.dtype,
        tensor_parallel=arguments.tensor_parallel,
        gpus=arguments.gpus,
        readout=arguments.readout,
        one_pass=arguments.one_pass,
        cached=arguments.prompt_cache == "cached",
        figures={name: getattr(arguments, name) for _, name, _ in _FIGURES},
    )
    print(
        price_scoring(
            request,
            comparing=arguments.compare,
            lengths=arguments.lengths,
            as_json=arguments.json,
        )
    )
