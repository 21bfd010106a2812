"""What is asked of a student per record, and on what it runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Work:
    """One record's prompt and answer, in tokens.

    ``prompt`` are the tokens before the record; ``cached`` whether a prefix cache spares them.
    ``output`` are tokens written one by one or, in ``one_pass``, tokens of a skeleton read
    together with the record, its logits at ``slots`` positions.
    """

    prompt: float
    cached: bool
    output: float
    one_pass: bool = False
    slots: int = 15


@dataclass(frozen=True)
class Serving:
    """A replica of a student: its GPUs and how well they are used.

    ``memory`` (bytes), ``bandwidth`` (bytes/s), ``matmul`` (FLOP/s), ``link`` (bytes/s between
    GPUs) and ``price`` (per hour) are of one GPU; ``gpus`` of them share the weights.
    ``mfu`` is a share of ``matmul``, ``decode_efficiency`` of ``bandwidth``.
    """

    gpu: str
    dtype: str
    gpus: int
    memory: float
    bandwidth: float
    matmul: float
    link: float
    price: float
    mfu: float
    decode_efficiency: float
    memory_share: float
    reserve: float
    max_sequences: int
    in_switch: bool = False
