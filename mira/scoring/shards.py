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
from mira.scoring.student import Student, batches

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


def score_shard(
    student: Student, records: pd.DataFrame, batch_size: int, part_path: Path
) -> pd.DataFrame:
    """Scores of all records, continuing from ``part_path`` where a killed job left it.

    Every finished batch is on disk before the next begins; batches are the same in every run, so
    a resumed run gives the same numbers. Returns one row per record, sorted by id.
    """
    if records.empty:
        return student.score(records)
    done = _read_part(part_path, student)
    part_path.parent.mkdir(parents=True, exist_ok=True)
    started, told, counted = time.monotonic(), 0.0, 0
    with part_path.open("ab") as part:
        for batch in batches(records, batch_size):
            if set(batch["id"]) <= done.keys():
                continue
            rows = student.score(batch).to_dict("records")
            for row in rows:
                part.write(orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")
            part.flush()
            os.fsync(part.fileno())
            done.update((row["id"], row) for row in rows)
            counted += len(rows)
            seconds = time.monotonic() - started
            if seconds - told >= PROGRESS_SECONDS or len(done) == len(records):
                rate, told = counted / seconds, seconds
                log.info("%d/%d records, %.1f records/s", len(done), len(records), rate)
    table = pd.DataFrame([done[record_id] for record_id in records["id"]])
    numeric = [
        name for name in map(str, table) if name.endswith(("_mean", "_sd", "_median", "_mode"))
    ]
    return table.astype(dict.fromkeys(numeric, float)).sort_values("id", ignore_index=True)


def discard_part(part_path: Path) -> None:
    """Remove the part file once the shard's final table stands."""
    remove_tree(part_path)


def _read_part(part_path: Path, student: Student) -> dict[str, dict[Any, Any]]:
    if not part_path.exists():
        return {}
    content = part_path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        with part_path.open("r+b") as handle:
            handle.truncate(len(whole))
    rows = [orjson.loads(line) for line in whole.splitlines()]
    made_alike = (student.model_hash, student.readout)
    return {row["id"]: row for row in rows if (row["model_hash"], row["readout"]) == made_alike}
