"""One GPU per scoring process where several run on one machine and no scheduler deals them out.

Under Snakemake on a workstation, every shard's job would otherwise load its student on GPU 0.
"""

from __future__ import annotations

import fcntl
import logging
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from mira.errors import UserError

VARIABLE = "CUDA_VISIBLE_DEVICES"
_SCHEDULERS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID")
_POLL_S = 1.0
_PATIENCE_S = 24 * 3600.0

log = logging.getLogger(__name__)


@contextmanager
def lease_devices(
    n: int,
    *,
    devices: Sequence[str] | None = None,
    folder: Path | None = None,
    patience_s: float = _PATIENCE_S,
) -> Iterator[tuple[str, ...]]:
    """Hold ``n`` free GPUs for the block, in ``CUDA_VISIBLE_DEVICES``; yields their indices.

    Does nothing, and yields nothing, where the machine has no GPU or somebody else has dealt them
    out: a scheduler, or ``CUDA_VISIBLE_DEVICES`` in the environment. A GPU is held by a lock on a
    file in ``folder``, which the system drops when the process ends, however it ends. Waits while
    too few are free. ``devices`` are the machine's GPUs, asked of nvidia-smi unless given. Raises
    UserError where the machine has fewer than ``n``, or none came free for ``patience_s``.
    """
    if is_dealt_out(os.environ):
        yield ()
        return
    present = list_devices() if devices is None else tuple(devices)
    if not present:
        yield ()
        return
    if n > len(present):
        raise UserError(
            f"scoring.vllm.tensor_parallel asks for {n} GPUs, but this machine has "
            f"{len(present)}: lower it to {len(present)} or run on a larger machine."
        )
    with ExitStack() as stack:
        held = _wait_for(n, present, folder or _lock_folder(), patience_s, stack)
        before = os.environ.get(VARIABLE)
        os.environ[VARIABLE] = ",".join(held)
        log.info("on GPU %s", ", ".join(held))
        try:
            yield held
        finally:
            if before is None:
                del os.environ[VARIABLE]
            else:
                os.environ[VARIABLE] = before


def is_dealt_out(environment: Mapping[str, str]) -> bool:
    """Whether somebody else has said which GPUs this process may use."""
    return VARIABLE in environment or any(name in environment for name in _SCHEDULERS)


def list_devices() -> tuple[str, ...]:
    """Indices of the machine's GPUs; none where there is no nvidia-smi or it fails."""
    command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in said.stdout.splitlines() if line.strip())


def _lock_folder() -> Path:
    return Path(tempfile.gettempdir()) / f"mira-gpus-{os.getuid()}"


def _wait_for(
    n: int, devices: Sequence[str], folder: Path, patience_s: float, stack: ExitStack
) -> tuple[str, ...]:
    """Lock ``n`` devices; never holds fewer while it waits, so that no two wait for each other."""
    folder.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + patience_s
    told = False
    while True:
        locks = _lock_up_to(n, devices, folder)
        if len(locks) == n:
            for lock in locks.values():
                stack.enter_context(lock)
            return tuple(locks)
        for lock in locks.values():
            lock.close()
        if time.monotonic() >= until:
            raise UserError(
                f"No {n} of the {len(devices)} GPUs came free within {patience_s:g} s: run fewer "
                "jobs at once (--resources gpu=...), or set CUDA_VISIBLE_DEVICES yourself."
            )
        if not told:
            told = True
            log.info("waiting for %d of %d GPUs to come free", n, len(devices))
        time.sleep(min(_POLL_S, max(0.0, until - time.monotonic())))


def _lock_up_to(n: int, devices: Sequence[str], folder: Path) -> dict[str, IO[bytes]]:
    locks: dict[str, IO[bytes]] = {}
    for device in devices:
        if len(locks) == n:
            break
        lock = (folder / f"gpu-{device}.lock").open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
        else:
            locks[device] = lock
    return locks
