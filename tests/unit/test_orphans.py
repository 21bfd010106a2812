"""A job ends with the workflow that started it, also when that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

JOB = """
import sys, time
from pathlib import Path
from mira.logs import logged
with logged(sys.argv[1] + "/job.log"):
    Path(sys.argv[1], "started").write_text(str(__import__("os").getpid()))
    time.sleep(60)
"""


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_job_ends_when_its_workflow_is_killed(tmp_path: Path):
    (tmp_path / "job.py").write_text(JOB)
    shell = f"{sys.executable} {tmp_path / 'job.py'} {tmp_path}; true"
    workflow = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess; subprocess.run(['bash', '-c', {shell!r}])"],
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 30
    while not (tmp_path / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.2)
    job = int((tmp_path / "started").read_text())
    assert alive(job)
    os.kill(workflow.pid, signal.SIGKILL)
    workflow.wait()
    deadline = time.monotonic() + 10
    while alive(job) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(job)
