"""A job whose workflow was killed ends too, so that a restart does not meet it at work."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

POLL_SECONDS = 0.5


def end_with_ancestors() -> None:
    """End this process when its parent or its parent's parent dies (Linux; ours).

    A workflow starts its jobs through a shell: killed with SIGKILL it takes neither along, and
    the job left behind would write the files that the restarted workflow makes anew.
    """
    if not Path("/proc/self/stat").exists():
        return
    ancestry = _ancestry()
    threading.Thread(target=_watch, args=(ancestry,), daemon=True).start()


def _watch(ancestry: tuple[int, int]) -> None:
    while _ancestry() == ancestry:
        time.sleep(POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


def _ancestry() -> tuple[int, int]:
    parent = os.getppid()
    try:
        stat = Path(f"/proc/{parent}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return parent, 0
    # The command name, in parentheses, may hold spaces; the parent comes second after it.
    return parent, int(stat.rpartition(")")[2].split()[1])
