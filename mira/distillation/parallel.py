"""One process or many: who this one is, and DeepSpeed's configuration.

Launchers (``torchrun``, ``deepspeed``) tell a process its place in environment variables.
"""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

from mira.errors import UserError

SHIPPED = ("zero2", "zero3")
FOLDER = Path(__file__).parent / "deepspeed"


def world_size() -> int:
    """How many processes train one student."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """This process's number among them."""
    return int(os.environ.get("RANK", "0"))


def barrier() -> None:
    """Wait for all processes; nothing where there is one."""
    import torch.distributed as dist

    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        dist.barrier()


def load_deepspeed(name: str | None) -> dict[str, Any] | None:
    """DeepSpeed's configuration for ``distillation.deepspeed``, or None without.

    'zero2' and 'zero3' are the ones that come with mira; anything else is a JSON file, relative
    to the working directory. Raises UserError where there is none or it is not usable.
    """
    if name is None:
        return None
    path = FOLDER / f"{name}.json" if name in SHIPPED else Path(name)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"distillation.deepspeed: no file '{path}' (looked for in {Path.cwd()}). Name a "
            f"DeepSpeed configuration file, or one that comes with mira: {', '.join(SHIPPED)}."
        ) from error
    except ValueError as error:
        raise UserError(f"distillation.deepspeed: '{path}' is not JSON: {error}.") from error
    zero = found.get("zero_optimization") if isinstance(found, dict) else None
    zero = zero if isinstance(zero, dict) else {}
    stage = zero.get("stage")
    if stage not in (0, 1, 2, 3):
        raise UserError(
            f"distillation.deepspeed: '{path}' has no zero_optimization.stage of 0, 1, 2 or 3."
        )
    gathers = "stage3_gather_16bit_weights_on_model_save"
    if stage == 3 and not zero.get(gathers):
        raise UserError(
            f"distillation.deepspeed: '{path}' needs zero_optimization.{gathers}: true. Without "
            "it DeepSpeed writes no model at the end."
        )
    return dict(found)


def prepare_deepspeed() -> None:
    """Make a process ready for DeepSpeed: alone without a launcher, and on a CPU.

    Without a launcher DeepSpeed would look for MPI. On a CPU it would compile an operator of
    its own for shared memory, for minutes at first, where gloo does the same work.
    """
    import torch

    if "RANK" not in os.environ:
        alone = {"RANK": 0, "LOCAL_RANK": 0, "WORLD_SIZE": 1, "MASTER_PORT": _free_port()}
        os.environ.update({name: str(value) for name, value in alone.items()})
        os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    on_cpu = not torch.cuda.is_available()
    if on_cpu:
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    import deepspeed

    if on_cpu:
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    else:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    # Before the model is made: ZeRO-3 splits it while loading and must know among how many.
    deepspeed.init_distributed()


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
