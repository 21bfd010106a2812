"""Labelling in a process of its own, which a test may kill, and what it left behind."""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from faulty_endpoint import Events

from mira.config import Cap, Prices
from mira.errors import UserError
from mira.io import read_json, read_parquet, write_json, write_parquet
from mira.labelling import Labelled, label
from mira.teacher.journal import Journal, Spending
from mira.teacher.journal.segment import iter_frames
from mira.teacher.settings import TeacherSettings

CONCURRENCY = 32
PAYER = "chaos"
PRICES = Prices(input=1.0, cached_input=0.1, output=2.0, thinking=3.0)
ANCHORS = [
    {"slot": f"A{i}", "name": f"Name {i}", "definition": f"What {i} means.", "references": []}
    for i in range(1, 16)
]
FINAL_FILES = ("labels.parquet", "rejected.parquet")
LIMIT_S = 300


def records(n: int) -> pd.DataFrame:
    """Records of five sources, with ids, splits and texts of their own."""
    numbers = pd.Series(range(n))
    return pd.DataFrame(
        {
            "id": numbers.map("id{:05}".format),
            "source": numbers.map(lambda i: f"source{i % 5}"),
            "family": "text",
            "split": numbers.map(lambda i: "train" if i % 5 else "validation"),
            "text": numbers.map("记录 text {}".format),
        }
    )


def label_records(
    url: str, journal: str | Path, n: int, cap: int | None = None, **changes: object
) -> Labelled:
    """Label ``n`` records, with a cap in tokens and other settings than usual."""
    usual = {"max_tokens": 1_000, "concurrency": CONCURRENCY, "max_failed_share": 0.25}
    patience = {"timeout_s": 1.0, "max_retries": 20, "backoff_s": 0.01, "backoff_max_s": 0.2}
    options = {"model": "m", "prices": PRICES, **usual, **patience, **changes}
    settings = TeacherSettings(base_urls=(url,), **options)
    store = Journal(journal, payer=PAYER, cap=Cap(tokens=cap))
    return asyncio.run(label(records(n), ANCHORS, settings, store, group="g1"))


def label_in_a_process(url: str, journal: str, out: str, n: int, cap: int | None) -> None:
    """Label, and write the final files."""
    labelled = label_records(url, journal, n, cap)
    write_parquet(labelled.labels, f"{out}/labels.parquet")
    write_parquet(labelled.rejected, f"{out}/rejected.parquet")
    write_json(labelled.cost, f"{out}/cost.json")


@dataclass(frozen=True)
class LabellingRun:
    """``n`` records to be labelled by the endpoint at ``url``; journal and results in ``folder``.

    ``cap`` counts tokens; ``file_size`` bytes is where the disk is full; ``out`` is a folder for
    the results.
    """

    url: str
    events: Events
    folder: Path
    n: int

    @property
    def journal(self) -> Path:
        """The folder of the journal."""
        return self.folder / "journal"

    def start(
        self, *, out: str = "out", cap: int | None = None, file_size: int | None = None
    ) -> subprocess.Popen[str]:
        """Begin to label."""
        (self.folder / out).mkdir(exist_ok=True)
        arguments = [self.url, str(self.journal), str(self.folder / out), self.n, cap]
        return subprocess.Popen(
            [sys.executable, __file__, json.dumps(arguments)],
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_limit_files(file_size) if file_size else None,
        )

    def finish(self, *processes: subprocess.Popen[str], cap: int | None = None) -> None:
        """Wait for the processes, or for a new one, to label everything."""
        for process in processes or [self.start(cap=cap)]:
            _, said = process.communicate(timeout=LIMIT_S)
            assert process.returncode == 0, said
        self.events.refresh()

    def fail(self, *, cap: int | None = None, file_size: int | None = None) -> str:
        """Label until it stops with an error for the user, and nothing but that; the error."""
        process = self.start(cap=cap, file_size=file_size)
        _, said = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 1 and said.startswith("error: "), said
        assert said.count("\n") == 1, said
        self.events.refresh()
        return said

    def kill(self, after: int, more_s: float, *, cap: int | None = None) -> None:
        """Label until the endpoint has sent ``after`` good replies in all, and ``more_s`` on."""
        process = self.start(cap=cap)
        deadline = time.monotonic() + LIMIT_S
        while self.answered() < after:
            assert process.poll() is None and time.monotonic() < deadline, process.communicate()
            time.sleep(0.002)
        time.sleep(more_s)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "finished before it could be killed"
        self.events.refresh()

    def answered(self) -> int:
        """Good replies sent so far."""
        self.events.refresh()
        return self.events.keys("answered").total()

    def lines(self) -> list[dict]:
        """The journal's lines, read without its index."""
        lines = []
        for path in sorted(self.journal.glob("*.jsonl.zst")):
            with path.open("rb") as handle:
                lines += [
                    json.loads(line) for frame in iter_frames(handle, 0) for line in frame.lines
                ]
        return lines

    def stored(self) -> dict[str, dict]:
        """Replies by key."""
        return {line["key"]: line for line in self.lines() if "text" in line}

    def reserved(self) -> Counter[str]:
        """How many calls there may have been for each key."""
        return Counter(line["key"] for line in self.lines() if "hold" in line)

    def spending(self) -> Spending:
        """The journal's account."""
        return Journal(self.journal, payer=PAYER).spending()

    def tables(self, out: str = "out") -> tuple[pd.DataFrame, pd.DataFrame]:
        """Labels and rejected records."""
        labels, rejected = (read_parquet(self.folder / out / name) for name in FINAL_FILES)
        return labels, rejected

    def cost(self, out: str = "out") -> dict:
        """The bill."""
        return read_json(self.folder / out / "cost.json")

    def final_bytes(self, out: str = "out") -> dict[str, bytes]:
        """The final files, byte by byte."""
        return {name: (self.folder / out / name).read_bytes() for name in FINAL_FILES}


def _limit_files(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    try:
        label_in_a_process(*json.loads(sys.argv[1]))
    except UserError as error:
        sys.exit(f"error: {error}")
