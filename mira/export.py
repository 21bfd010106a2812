"""The selected text itself: zstd-compressed JSONL, ready for training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import zstandard

from mira.io import atomic_path

STAGE_VERSION = 1
_LEVEL = 6
_COLUMNS = ["id", "source", "family", "text", "messages", "meta"]


def export_source(
    corpus: str | Path, selected_ids: Iterable[str], path: str | Path, batch_rows: int = 1024
) -> int:
    """Write one source's selected records as ``.jsonl.zst``; returns their number.

    ``corpus`` is ``sampling/corpus/{source}.parquet``. Rows are {id, source, family, text or
    messages, meta where there is any}, in the corpus's order, so equal selections give equal
    bytes. Memory holds one batch of rows. Raises ValueError where a selected id is not in the
    corpus file.
    """
    wanted = set(selected_ids)
    written = 0
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    with (
        atomic_path(path) as temporary,
        temporary.open("wb") as handle,
        compressor.stream_writer(handle, closefd=False) as stream,
    ):
        for row in _rows(corpus, batch_rows):
            if row["id"] in wanted:
                stream.write(orjson.dumps(_exported(row)) + b"\n")
                written += 1
        if written != len(wanted):
            raise ValueError(f"{corpus} holds {written} of {len(wanted)} selected records")
    return written


def _rows(corpus: str | Path, batch_rows: int) -> Iterator[dict[str, Any]]:
    with pq.ParquetFile(corpus) as parquet:
        for batch in parquet.iter_batches(batch_rows, columns=_COLUMNS):
            yield from batch.to_pylist()


def _exported(row: dict[str, Any]) -> dict[str, Any]:
    record = {key: row[key] for key in ("id", "source", "family")}
    if row["messages"] is None:
        record["text"] = row["text"]
    else:
        record["messages"] = orjson.loads(row["messages"])
    if row["meta"] and (meta := orjson.loads(row["meta"])):
        record["meta"] = meta
    return record
