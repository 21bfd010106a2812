"""Seconds on a device, and what the device does at best: products and copies."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch

Mark = Callable[[], Any]


class Stopwatch:
    """Marks in a device's stream of work, and the seconds between them.

    GPU events where there is a GPU, so that what is queued is not taken for what is done; the
    wall clock on CPU.
    """

    def __init__(self, device: torch.device) -> None:
        self._on_gpu = device.type == "cuda"
        self._marks: list[Any] = []

    def mark(self) -> None:
        """Note this place in the stream."""
        if self._on_gpu:
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            self._marks.append(event)
        else:
            self._marks.append(time.perf_counter())

    def seconds(self) -> list[float]:
        """Seconds from the first mark to every later one; waits for the device."""
        if self._on_gpu:
            torch.cuda.synchronize()
            return [self._marks[0].elapsed_time(mark) / 1e3 for mark in self._marks[1:]]
        return [mark - self._marks[0] for mark in self._marks[1:]]


def time_calls(
    call: Callable[[], Any], device: torch.device, repeats: int, warm_up: int = 2
) -> list[float]:
    """Seconds of each of ``repeats`` calls, after ``warm_up`` others."""
    for _ in range(warm_up):
        call()
    seconds = []
    for _ in range(repeats):
        watch = Stopwatch(device)
        watch.mark()
        call()
        watch.mark()
        seconds += watch.seconds()
    return seconds


def spread(seconds: list[float]) -> dict[str, float]:
    """Median, least and most."""
    return {"median": median(seconds), "min": min(seconds), "max": max(seconds)}


def matmul_rate(device: torch.device, dtype: torch.dtype, size: int, repeats: int) -> float:
    """FLOP/s of a square product, by the median."""
    left = torch.randn(size, size, device=device, dtype=dtype)
    right = torch.randn(size, size, device=device, dtype=dtype)
    out = torch.empty_like(left)
    seconds = time_calls(lambda: torch.mm(left, right, out=out), device, repeats)
    return 2 * size**3 / median(seconds)


def copy_rate(device: torch.device, megabytes: int, repeats: int) -> float:
    """Bytes per second of a copy, those read and those written both counted."""
    source = torch.empty(megabytes * 1_000_000, device=device, dtype=torch.uint8)
    target = torch.empty_like(source)
    seconds = time_calls(lambda: target.copy_(source), device, repeats)
    return 2 * source.numel() / median(seconds)
