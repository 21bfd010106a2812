"""What tensor parallelism adds: sums over the GPUs of a replica, twice per layer."""

from __future__ import annotations

from mira.cost.shapes import StudentShape
from mira.cost.work import Serving


def traffic_bytes_per_token(shape: StudentShape, gpus: int, in_switch: bool = False) -> float:
    """Bytes that each GPU sends per token: a ring sends ``2 (n - 1) / n`` of what is summed, a
    switch that adds needs it once.
    """
    if gpus == 1:
        return 0.0
    share = 1.0 if in_switch else 2 * (gpus - 1) / gpus
    return shape.reduced_bytes_per_token() * share


def traffic_seconds_per_token(shape: StudentShape, serving: Serving) -> float:
    """Seconds of a replica per token, were nothing overlapped; latency is left out."""
    sent = traffic_bytes_per_token(shape, serving.gpus, serving.in_switch)
    return sent / serving.link
