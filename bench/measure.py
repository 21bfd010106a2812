"""What the benchmarks share: timing, rounds in other processes, medians, the machine."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

BENCH = Path(__file__).resolve().parent
REPOSITORY = BENCH.parent
RESULTS = REPOSITORY / "results"
IN_MEMORY = {"tmpfs", "ramfs"}


@dataclass
class Watch:
    """Wall and CPU seconds of a block; CPU of all threads of the process."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0


@contextmanager
def timed() -> Iterator[Watch]:
    """Time a block."""
    watch = Watch()
    wall, cpu = time.perf_counter(), time.process_time()
    yield watch
    watch.seconds, watch.cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu


def run_json(python: str | Path, script: str, job: Mapping[str, Any]) -> dict[str, Any]:
    """Run a script of this folder on a job in a fresh process; the JSON object it prints last.

    Raises RuntimeError with the end of what it wrote when it fails.
    """
    command = [str(python), str(BENCH / script), json.dumps(job)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{script} failed ({done.returncode}):\n{done.stderr[-3_000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def read_job() -> dict[str, Any]:
    """The job that ``run_json`` has given to this process."""
    return json.loads(sys.argv[1])


@contextmanager
def running_endpoint(latency_ms: float) -> Iterator[str]:
    """The URL of a local endpoint in a process of its own, ended afterwards."""
    command = [sys.executable, str(BENCH / "local_endpoint.py"), "--latency-ms", str(latency_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def endpoint_stats(url: str) -> dict[str, Any]:
    """What a local endpoint has counted so far."""
    with urllib.request.urlopen(f"{url}/stats", timeout=30) as response:
        return json.load(response)


@contextmanager
def work_folder(parent: Path) -> Iterator[Path]:
    """A temporary folder in ``parent``, gone afterwards."""
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=parent) as folder:
        yield Path(folder)


def describe_disk(folder: Path) -> dict[str, Any]:
    """The file system of a folder, and milliseconds to make 4 kB durable there.

    ``durable`` is false in memory, where that costs nothing: no claim can be judged there.
    """
    kind = file_system(folder)
    durable = kind not in IN_MEMORY
    if not durable:
        print(f"{folder} is in memory ({kind}): choose a folder on a disk", file=sys.stderr)
    sync_ms = round(1e3 * sync_seconds(folder), 3)
    return {"file_system": kind, "durable": durable, "sync_ms": sync_ms}


def file_system(folder: Path) -> str:
    """The kind of file system a folder is on ("unknown" where the system does not tell)."""
    best, kind = "", "unknown"
    mounts = Path("/proc/self/mounts")
    for line in mounts.read_text().splitlines() if mounts.exists() else []:
        _, point, name, *_ = line.split()
        if folder.resolve().is_relative_to(point) and len(point) >= len(best):
            best, kind = point, name
    return kind


def sync_seconds(folder: Path, times: int = 20) -> float:
    """Median time to append 4 kB to a file and flush it to disk."""
    seconds = []
    with (folder / "sync.probe").open("wb", buffering=0) as probe:
        for _ in range(times):
            with timed() as watch:
                probe.write(bytes(4096))
                os.fsync(probe.fileno())
            seconds.append(watch.seconds)
    return median(seconds)


def machine() -> dict[str, Any]:
    """Where the figures come from; ``load_1m`` near the number of cores means contended."""
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "python": platform.python_version(),
        "load_1m": round(os.getloadavg()[0], 2),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Installed versions in this interpreter."""
    return {name: metadata.version(name) for name in packages}


def rounded_median(values: Sequence[float], digits: int = 3) -> float:
    """The median, short enough to read."""
    return round(median(values), digits)
