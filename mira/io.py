"""Reading and writing files: every write is atomic, every table is zstd Parquet.

A file with its final name is complete. Writers fill a temporary name in the same folder, flush
it to disk, and rename.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pandas as pd


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path; on success rename it to ``path``, on failure remove it.

    Works for files and folders: an existing folder at ``path`` is replaced.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f".{final.name}.{os.getpid()}.tmp")
    remove_tree(temporary)
    try:
        yield temporary
        if temporary.is_dir():
            remove_tree(final)
        else:
            _flush(temporary)
        temporary.replace(final)
    finally:
        remove_tree(temporary)


def remove_tree(path: Path) -> None:
    """Remove a file or a folder with all its content, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    with path.open("rb") as handle:
        os.fsync(handle.fileno())


def write_bytes(data: bytes, path: str | Path) -> None:
    """Write bytes atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(text: str, path: str | Path) -> None:
    """Write text atomically, as UTF-8."""
    write_bytes(text.encode("utf-8"), path)


def write_json(value: Any, path: str | Path) -> None:
    """Write indented JSON with sorted keys, atomically (NumPy scalars and arrays allowed)."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY
    write_bytes(orjson.dumps(value, option=options) + b"\n", path)


def read_json(path: str | Path) -> Any:
    """Read one JSON document."""
    return orjson.loads(Path(path).read_bytes())


def write_jsonl(rows: Iterable[dict[str, Any]], path: str | Path) -> int:
    """Write one JSON object a line, atomically; returns the number of rows."""
    count = 0
    with atomic_path(path) as temporary, temporary.open("wb") as handle:
        for row in rows:
            handle.write(orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")
            count += 1
    return count


def read_jsonl(path: str | Path) -> list[dict[str, Any]]:
    """Read a JSONL file that mira wrote (user data goes through ``mira.sampling.readers``)."""
    with Path(path).open("rb") as handle:
        return [orjson.loads(line) for line in handle if line.strip()]


def write_parquet(frame: pd.DataFrame, path: str | Path) -> None:
    """Write a table as zstd Parquet, atomically, without the index."""
    with atomic_path(path) as temporary:
        frame.to_parquet(temporary, compression="zstd", index=False)


def read_parquet(path: str | Path, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a Parquet table, or some of its columns."""
    return pd.read_parquet(path, columns=columns)


def read_parquets(paths: Iterable[str | Path], columns: list[str] | None = None) -> pd.DataFrame:
    """Read several Parquet tables of one schema, one below the other."""
    return pd.concat([read_parquet(path, columns) for path in paths], ignore_index=True)


def write_csv(frame: pd.DataFrame, path: str | Path) -> None:
    """Write a table as CSV, atomically, without the index."""
    write_text(frame.to_csv(index=False), path)


def sha256(path: str | Path) -> str:
    """Checksum of a file; of a folder, the checksum of its files' names and checksums."""
    path = Path(path)
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file())
        lines = [f"{p.relative_to(path)} {sha256(p)}" for p in files]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
