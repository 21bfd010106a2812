"""How fast a GPU reads, writes and trains at the shapes of Qwen3.5-35B-A3B, weights random.

    python bench/gpu.py               on a GPU with room for 69 GB of weights
    python bench/gpu.py --layers 20   half of them
    python bench/gpu.py --toy         toy shapes, on CPU: shows that it runs, measures nothing

Rates come with their share of what the same GPU does in plain products (MFU) and copies, measured
in the same run, and ratios with what the formulas of ``mira.cost`` say. Medians after a warm-up,
by GPU events. ``counts`` is false where the figures say nothing about a GPU: toy shapes, or no
flash-linear-attention. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# A borrowed GPU machine has the checkout, but mira is not installed there.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from gpu_model import (
    LAYERS_PER_ROUND,
    build,
    busiest_expert,
    configuration,
    kernels,
    random_tokens,
    shape,
)
from gpu_scoring import measure_answers, measure_prefill, measure_prompt
from gpu_timing import copy_rate, matmul_rate
from gpu_training import measure_training
from measure import machine, versions

PARTS = ("prefill", "prompt", "answers", "training")
NOTES = (
    "Random weights route tokens to experts more evenly than trained ones: real rates are lower. "
    "busiest_expert is the load of the busiest expert over the mean.",
    "The transformers engine runs without CUDA graphs or continuous batching: its steps of writing "
    "are bounds from above on vLLM's, and its ratios hold for this engine.",
    "Tensor parallelism cannot be measured on one GPU.",
)
GPU_SETTINGS = {
    "lengths": [2048, 8192, 32768],
    "prompts": [6000, 12000],
    "batch_tokens": 32768,
    "records": 64,
    "length": 2048,
    "written": [32, 200, 900],
    "skeleton": 200,
    "slots": 15,
    "train_rows": 1,
    "train_length": 4096,
    "matmul_size": 8192,
    "copy_megabytes": 4000,
}
TOY_SETTINGS = {
    "lengths": [32, 64],
    "prompts": [32],
    "batch_tokens": 64,
    "records": 2,
    "length": 32,
    "written": [2, 4, 8],
    "skeleton": 16,
    "slots": 5,
    "train_rows": 2,
    "train_length": 32,
    "matmul_size": 256,
    "copy_megabytes": 4,
}


def parse_arguments() -> argparse.Namespace:
    """The command line; a multiple of 4 layers keeps the mix of layer kinds."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--toy", action="store_true", help="toy shapes on CPU")
    parser.add_argument("--layers", type=int, help="default: 40 (toy: 4)")
    parser.add_argument("--train-layers", type=int, default=4)
    parser.add_argument("--checkpointing", action="store_true", help="in training")
    parser.add_argument("--records", type=int, help="records that write at once")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    arguments = parser.parse_args()
    for name in ("layers", "train_layers"):
        value = getattr(arguments, name)
        if value is not None and (value < 1 or value % LAYERS_PER_ROUND):
            option = name.replace("_", "-")
            parser.error(f"--{option} {value} should be a multiple of {LAYERS_PER_ROUND}")
    return arguments


def find_device(toy: bool, layers: int) -> torch.device:
    """CPU for toy shapes, else a GPU that holds the weights; ends with a message without one."""
    if toy:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        sys.exit(
            "There is no GPU that torch can use here, and the true shapes are measured on one only."
            " 'python bench/gpu.py --toy' shows on CPU that the script runs."
        )
    needed = 2 * shape(configuration(layers, toy)).parameters().total
    free, _ = torch.cuda.mem_get_info()
    if needed > 0.9 * free:
        sys.exit(
            f"The weights of {layers} layers take {needed / 1e9:.0f} GB and the GPU has "
            f"{free / 1e9:.0f} GB free. Fewer layers fit: --layers {layers // 8 * 4 or 4}."
        )
    return torch.device("cuda")


def attempt(name: str, measure: Callable[[], Any]) -> Any:
    """A part's figures, or why it has none: memory that runs out ends that part alone."""
    print(f"{name} ...", file=sys.stderr, flush=True)
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    try:
        return measure()
    except torch.OutOfMemoryError as error:
        return {"failed": str(error).splitlines()[0]}


def measure_scoring(
    arguments: argparse.Namespace, settings: dict[str, Any], device: torch.device, rates: Any
) -> dict[str, Any]:
    """The parts that read and write, with one model for all of them."""
    peak, bandwidth = rates
    config = configuration(arguments.layers, arguments.toy)
    model = build(config, device, _dtype(arguments.toy)).eval()
    sizes, repeats = shape(config), arguments.repeats
    tokens = random_tokens(config, 1, settings["length"], device)
    measures: dict[str, Callable[[], Any]] = {
        "prefill": lambda: measure_prefill(
            model, sizes, settings["lengths"], settings["batch_tokens"], repeats, peak
        ),
        "prompt": lambda: measure_prompt(
            model, sizes, settings["prompts"], settings["length"], repeats, peak
        ),
        "answers": lambda: measure_answers(
            model,
            sizes,
            records=settings["records"],
            length=settings["length"],
            written=settings["written"],
            skeleton=settings["skeleton"],
            slots=settings["slots"],
            repeats=min(repeats, 3),
            peak=peak,
            bandwidth=bandwidth,
        ),
    }
    chosen = [name for name in measures if name in arguments.parts]
    found = {name: attempt(name, measures[name]) for name in chosen}
    return {
        "parameters": sizes.parameters().total,
        "busiest_expert": busiest_expert(model, tokens),
    } | found


def measure_learning(
    arguments: argparse.Namespace, settings: dict[str, Any], device: torch.device, peak: float
) -> dict[str, Any]:
    """Training with fewer layers, whose optimiser state fits."""
    config = configuration(arguments.train_layers, arguments.toy)
    return measure_training(
        build(config, device, _dtype(arguments.toy)),
        shape(config),
        rows=settings["train_rows"],
        length=settings["train_length"],
        checkpointing=arguments.checkpointing,
        repeats=arguments.repeats,
        peak=peak,
    )


def _dtype(toy: bool) -> torch.dtype:
    return torch.float32 if toy else torch.bfloat16


def _warnings(toy: bool, installed: dict[str, bool]) -> list[str]:
    if toy:
        return ["Toy shapes on CPU: the figures show that the script runs and mean nothing else."]
    if not installed["fla"]:
        return ["flash-linear-attention is not installed: linear layers ran as a slow reference."]
    return []


def main() -> None:
    """Measure what is asked for; the last line is the JSON object."""
    arguments = parse_arguments()
    arguments.layers = arguments.layers or (LAYERS_PER_ROUND if arguments.toy else 40)
    settings = dict(TOY_SETTINGS if arguments.toy else GPU_SETTINGS)
    settings["records"] = arguments.records or settings["records"]
    device = find_device(arguments.toy, arguments.layers)
    dtype, repeats = _dtype(arguments.toy), arguments.repeats
    peak = matmul_rate(device, dtype, settings["matmul_size"], 5 * repeats)
    bandwidth = copy_rate(device, settings["copy_megabytes"], repeats)
    found: dict[str, Any] = {}
    if set(arguments.parts) - {"training"}:
        rates = (peak, bandwidth)
        found = measure_scoring(arguments, settings, device, rates)
    if "training" in arguments.parts:
        found["training"] = attempt(
            "training", lambda: measure_learning(arguments, settings, device, peak)
        )
    installed = kernels()
    result = {
        "counts": not arguments.toy and installed["fla"],
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "kernels": installed,
        "matmul_tflop_s": peak / 1e12,
        "copy_tb_s": bandwidth / 1e12,
        **found,
        "settings": {**vars(arguments), **settings},
        "notes": [*NOTES, *_warnings(arguments.toy, installed)],
        "machine": machine(),
        "versions": versions(["torch", "transformers"]),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
