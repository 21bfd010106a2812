"""Reading and writing with the transformers engine: rates, and one pass against short decoding."""

from __future__ import annotations

from copy import deepcopy
from statistics import median
from typing import Any

import torch
from gpu_model import random_tokens
from gpu_timing import Stopwatch, spread, time_calls

from mira.cost.assumptions import serving_figures
from mira.cost.decoding import step_bytes
from mira.cost.lengths import equal_lengths
from mira.cost.prefill import prefill_flop
from mira.cost.shapes import StudentShape
from mira.cost.work import Work


@torch.inference_mode()
def measure_prefill(
    model: Any, shape: StudentShape, lengths: list[int], tokens: int, repeats: int, peak: float
) -> list[dict[str, Any]]:
    """Records of each length, as many at once as make ``tokens``, without a prompt."""
    rows = []
    for length in lengths:
        records = max(1, tokens // length)
        ids = random_tokens(model.config, records, length, model.device)
        seconds = time_calls(lambda ids=ids: _read(model, ids), model.device, repeats)
        flop = prefill_flop(shape, equal_lengths(records, length), Work(0, True, 0))
        rows.append(
            {
                "length": length,
                "records": records,
                "seconds": spread(seconds),
                "tokens_per_s": records * length / median(seconds),
                "mfu": flop / median(seconds) / peak,
            }
        )
    return rows


@torch.inference_mode()
def measure_prompt(
    model: Any, shape: StudentShape, prompts: list[int], length: int, repeats: int, peak: float
) -> list[dict[str, Any]]:
    """One record after a prompt whose state was kept, and after one that is read again."""
    rows = []
    for prompt in prompts:
        before = random_tokens(model.config, 1, prompt, model.device)
        record = random_tokens(model.config, 1, length, model.device)
        whole = torch.cat([before, record], dim=1)
        again = time_calls(lambda whole=whole: _read(model, whole), model.device, repeats)
        kept = _time_forks(model, before, record, repeats)
        one = equal_lengths(1, length)
        cached = prefill_flop(shape, one, Work(prompt, True, 0))
        uncached = prefill_flop(shape, one, Work(prompt, False, 0))
        rows.append(
            {
                "prompt": prompt,
                "length": length,
                "kept_seconds": spread(kept),
                "read_again_seconds": spread(again),
                "ratio": median(again) / median(kept),
                "formula_ratio": uncached / cached,
                "mfu_kept": cached / median(kept) / peak,
                "mfu_read_again": uncached / median(again) / peak,
            }
        )
    return rows


def _time_forks(model: Any, before: Any, record: Any, repeats: int) -> list[float]:
    state = model(before, use_cache=True, logits_to_keep=1).past_key_values
    seconds = []
    for number in range(repeats + 2):
        fork = deepcopy(state)
        watch = Stopwatch(model.device)
        watch.mark()
        model(record, past_key_values=fork, use_cache=True, logits_to_keep=1)
        watch.mark()
        seconds += watch.seconds() if number >= 2 else []
    return seconds


@torch.inference_mode()
def measure_answers(
    model: Any,
    shape: StudentShape,
    *,
    records: int,
    length: int,
    written: list[int],
    skeleton: int,
    slots: int,
    repeats: int,
    peak: float,
    bandwidth: float,
) -> dict[str, Any]:
    """One pass over a record and a skeleton against writing each number of tokens.

    Writing is greedy, every record of the batch to the end. ``formula_times_one_pass`` is what
    the cost formulas say at the rates of products and copies measured here.
    """
    device = model.device
    ids = random_tokens(model.config, records, length, device)
    whole = random_tokens(model.config, records, length + skeleton, device)
    read_at = torch.linspace(length, length + skeleton - 1, slots, device=device).long()
    once = median(time_calls(lambda: _read(model, whole, read_at), device, repeats))
    reading, marks = _time_writing(model, ids, sorted(written), repeats)
    one = Work(0, True, skeleton, one_pass=True, slots=slots)
    formula_once = _formula(shape, one, records, length, peak, bandwidth)
    rows = []
    for count, seconds in zip(sorted(written), marks, strict=True):
        work = Work(0, True, count)
        moved = step_bytes(shape, work, "bfloat16", 1, records, length)
        formula = _formula(shape, work, records, length, peak, bandwidth)
        rows.append(
            {
                "written": count,
                "step_ms": 1e3 * seconds / count,
                "output_tokens_per_s": records * count / seconds,
                "share_of_bandwidth": moved * count / seconds / bandwidth,
                "records_per_s": records / (reading + seconds),
                "times_one_pass": (reading + seconds) / once,
                "formula_times_one_pass": formula / formula_once,
            }
        )
    return {
        "records": records,
        "length": length,
        "skeleton": skeleton,
        "one_pass_records_per_s": records / once,
        "answers": rows,
    }


def _formula(
    shape: StudentShape, work: Work, records: int, length: int, peak: float, bandwidth: float
) -> float:
    """Seconds by the formulas, at the shares of both rates that the calculator assumes."""
    shares = serving_figures("bfloat16")
    flop = prefill_flop(shape, equal_lengths(records, length), work)
    seconds = flop / (shares["mfu"].value * peak)
    if not work.one_pass:
        moved = step_bytes(shape, work, "bfloat16", 1, records, length)
        seconds += work.output * moved / (bandwidth * shares["decode_efficiency"].value)
    return seconds


def _read(model: Any, ids: Any, positions: Any = 1) -> Any:
    return model(ids, use_cache=True, logits_to_keep=positions).logits


def _time_writing(
    model: Any, ids: Any, written: list[int], repeats: int
) -> tuple[float, list[float]]:
    """Seconds to read the records, and after it to write each number of tokens; medians."""
    runs = []
    for number in range(repeats + 1):
        watch = Stopwatch(model.device)
        watch.mark()
        found = model(ids, use_cache=True, logits_to_keep=1)
        watch.mark()
        state = found.past_key_values
        token = found.logits[:, -1:].argmax(-1)
        for step in range(1, max(written) + 1):
            found = model(token, past_key_values=state, use_cache=True)
            token = found.logits[:, -1:].argmax(-1)
            if step in written:
                watch.mark()
        if number:
            runs.append(watch.seconds())
    reading, *marks = (median(column) for column in zip(*runs, strict=True))
    return reading, [mark - reading for mark in marks]
