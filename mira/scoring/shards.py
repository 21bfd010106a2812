"""Work units of scoring: shards of records, and a part file that makes them resumable."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import Any

import orjson
import pandas as pd

from mira.io import remove_tree
from mira.scoring.student import SCORE_SUFFIXES, Student, batches

PROGRESS_SECONDS = 5.0

log = logging.getLogger(__name__)


def assign_shards(records: pd.DataFrame, n_shards: int) -> pd.Series:
    """Shard number per record, so that shards hold nearly equal tokens (ours).

    Longest first, each to the lightest shard: independent of row order.
    """
    loads = [(0, shard) for shard in range(n_shards)]
    shard_of = {}
    ordered = records.sort_values(["n_tokens", "id"], ascending=[False, True])
    for record_id, n_tokens in zip(ordered["id"], ordered["n_tokens"], strict=True):
        load, shard = min(loads)
        loads[shard] = (load + int(n_tokens), shard)
        shard_of[record_id] = shard
    return records["id"].map(shard_of).astype(int)


def score_shard(student: Student, records: pd.DataFrame, part_path: Path) -> pd.DataFrame:
    """Scores of all records, continuing from ``part_path`` where a killed job left it.

    Every finished batch is on disk before the next begins; batches are the same in every run, so
    a resumed run gives the same numbers. Rows of a part file that another student, readout or
    setting made are not taken up. Returns one row per record, sorted by id.
    """
    if records.empty:
        return student.score(records)
    done = _read_part(part_path, student.fingerprint)
    part_path.parent.mkdir(parents=True, exist_ok=True)
    progress = Progress(len(records), len(done))
    with part_path.open("ab") as part:
        for batch in batches(records, student.batch_size):
            if set(batch["id"]) <= done.keys():
                continue
            rows = student.score(batch).to_dict("records")
            for row in rows:
                line = {**row, "fingerprint": student.fingerprint}
                part.write(orjson.dumps(line, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")
            part.flush()
            os.fsync(part.fileno())
            done.update((row["id"], row) for row in rows)
            progress.add(len(rows))
    if warning := student.cache_warning():
        log.warning(warning)
    table = pd.DataFrame([done[record_id] for record_id in records["id"]])
    numeric = [name for name in map(str, table) if name.endswith(SCORE_SUFFIXES)]
    return table.astype(dict.fromkeys(numeric, float)).sort_values("id", ignore_index=True)


class Progress:
    """Tells the log, every few seconds, how many records are scored and how fast."""

    def __init__(self, total: int, done: int):
        self._total, self._done, self._counted = total, done, 0
        self._started, self._told = time.monotonic(), 0.0

    def add(self, records: int) -> None:
        """So many more are scored."""
        self._done += records
        self._counted += records
        seconds = time.monotonic() - self._started
        if seconds - self._told >= PROGRESS_SECONDS or self._done == self._total:
            self._told = seconds
            rate = self._counted / seconds
            log.info("%d/%d records, %.1f records/s", self._done, self._total, rate)


def discard_part(part_path: Path) -> None:
    """Remove the part file once the shard's final table stands."""
    remove_tree(part_path)


def _read_part(part_path: Path, fingerprint: str) -> dict[str, dict[Any, Any]]:
    if not part_path.exists():
        return {}
    content = part_path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        with part_path.open("r+b") as handle:
            handle.truncate(len(whole))
    rows = [orjson.loads(line) for line in whole.splitlines()]
    return {row["id"]: row for row in rows if row.pop("fingerprint", None) == fingerprint}
