"""Reading users' files row by row: JSONL (plain, gz, zst) and Parquet, never a whole file at once.

A row that cannot be read is yielded with its failure, so that every row is accounted for; a
mistake that concerns the whole file is a :class:`mira.errors.UserError`.
"""

from __future__ import annotations

import difflib
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from mira.config import Fields, Source
from mira.errors import UserError
from mira.sampling.fields import Reason, RowError

JSONL_SUFFIXES = (
    *(".jsonl", ".jsonl.gz", ".jsonl.zst"),
    *(".ndjson", ".ndjson.gz", ".ndjson.zst", ".json.gz", ".json.zst"),
)
PARQUET_SUFFIXES = (".parquet",)
ROWS_CHECKED = 100
MAX_PATH_DEPTH = 4
MAX_FIELDS_LISTED = 30
PARQUET_BATCH_ROWS = 256
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Row:
    """One row as it was read; ``line`` is the line (JSONL) or row number (Parquet), from 1."""

    file: str
    line: int
    value: Any
    failure: RowError | None = None


def read_source(name: str, source: Source, base: str | Path = ".") -> Iterator[Row]:
    """Rows of all files of one source, in the order of the paths given; globs are sorted.

    Relative paths start at ``base``. Blank lines of JSONL are no rows. Raises UserError for a
    missing file, a glob that matches nothing, an unknown extension, a damaged file, and a
    mapped field that none of a file's first 100 rows has.
    """
    if source.fields.text is None and source.fields.messages is None:
        raise UserError(
            f"sources.{name}.fields maps neither 'text' nor 'messages'. "
            f"Name the field that holds the record's content in one of them."
        )
    for path in source_files(name, source, base):
        if path.name.endswith(PARQUET_SUFFIXES):
            yield from _read_parquet(path, name, source.fields)
        else:
            yield from _check_first_rows(_read_jsonl(path, name), path, name, source.fields)


def source_files(name: str, source: Source, base: str | Path = ".") -> list[Path]:
    """The files of one source; see :func:`read_source` for the errors."""
    patterns = [source.path] if isinstance(source.path, str) else list(source.path or ())
    files = [file for pattern in patterns for file in _expand(pattern, name, Path(base))]
    for file in files:
        if not file.name.endswith(JSONL_SUFFIXES + PARQUET_SUFFIXES):
            known = " ".join(JSONL_SUFFIXES[:3] + PARQUET_SUFFIXES)
            raise UserError(
                f"{file}: unknown extension '{''.join(file.suffixes)}' (sources.{name}.path). "
                f"Expected one of: {known}. Convert or rename the file."
            )
    return files


def _expand(pattern: str, name: str, base: Path) -> list[Path]:
    path = base / pattern
    if path.is_file():
        return [path]
    if path.is_dir():
        raise UserError(
            f"{path} is a folder (sources.{name}.path). "
            f"Name its files with a glob, such as '{pattern.rstrip('/')}/*.jsonl'."
        )
    if not set(pattern) & set("*?["):
        raise UserError(
            f"File not found: {path} (sources.{name}.path). "
            f"Relative paths start at {base.resolve()}. Correct the path or create the file."
        )
    root = Path(path.anchor)
    matches = root.glob(str(path.relative_to(root)))
    files = sorted(match for match in matches if match.is_file())
    if not files:
        raise UserError(
            f"No file matches {path} (sources.{name}.path). "
            f"Relative paths start at {base.resolve()}. Correct the pattern."
        )
    return files


def _read_jsonl(path: Path, name: str) -> Iterator[Row]:
    try:
        with pa.input_stream(str(path), compression="detect") as stream:
            for number, line in enumerate(io.BufferedReader(stream), start=1):
                if number == 1:
                    line = line.removeprefix(_BYTE_ORDER_MARK)
                if line.strip():
                    yield _parse_line(line, str(path), number)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read to its end (sources.{name}.path): {error}. "
            f"Expected a complete file; copy or compress it again."
        ) from error


def _parse_line(line: bytes, file: str, number: int) -> Row:
    try:
        return Row(file, number, orjson.loads(line.decode("utf-8")))
    except UnicodeDecodeError as error:
        detail = f"byte {error.start + 1} of the line: {error.reason}"
        return Row(file, number, None, RowError(Reason.INVALID_UTF8, detail))
    except orjson.JSONDecodeError as error:
        return Row(file, number, None, RowError(Reason.MALFORMED_JSON, str(error)))


def _read_parquet(path: Path, name: str, fields: Fields) -> Iterator[Row]:
    try:
        with pq.ParquetFile(path) as parquet:
            known = _schema_paths(parquet.schema_arrow)
            _check_fields(known, path, name, fields)
            wanted = [p if p in known else p.split(".")[0] for p in _mapped_paths(fields)]
            columns = [column for column in parquet.schema_arrow.names if column in wanted]
            number = 0
            for batch in parquet.iter_batches(PARQUET_BATCH_ROWS, columns=columns):
                for value in _batch_rows(batch):
                    number += 1
                    failure = value if isinstance(value, RowError) else None
                    yield Row(str(path), number, None if failure else value, failure)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(
            f"{path} is not a readable Parquet file (sources.{name}.path): {error}. "
            f"Write or copy it again."
        ) from error


def _mapped_paths(fields: Fields) -> list[str]:
    return [path for path in fields.model_dump().values() if path]


def _schema_paths(schema: Iterable[pa.Field], prefix: str = "") -> list[str]:
    paths = []
    for field in schema:
        paths.append(prefix + field.name)
        if pa.types.is_struct(field.type):
            paths += _schema_paths(field.type, f"{prefix}{field.name}.")
    return paths


def _batch_rows(batch: pa.RecordBatch) -> Iterable[Any]:
    try:
        return batch.to_pylist()
    except UnicodeDecodeError:
        return [_single_row(batch.slice(i, 1)) for i in range(batch.num_rows)]


def _single_row(batch: pa.RecordBatch) -> Any:
    try:
        return batch.to_pylist()[0]
    except UnicodeDecodeError as error:
        return RowError(Reason.INVALID_UTF8, str(error.reason))


def _check_first_rows(rows: Iterator[Row], path: Path, name: str, fields: Fields) -> Iterator[Row]:
    head = list(islice(rows, ROWS_CHECKED))
    objects = [row.value for row in head if isinstance(row.value, dict)]
    if objects:
        known = dict.fromkeys(key for value in objects for key in _object_paths(value))
        _check_fields(list(known), path, name, fields)
    yield from chain(head, rows)


def _object_paths(value: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, item in value.items():
        yield prefix + key
        if isinstance(item, dict) and prefix.count(".") < MAX_PATH_DEPTH:
            yield from _object_paths(item, f"{prefix}{key}.")


def _check_fields(known: list[str], path: Path, name: str, fields: Fields) -> None:
    """Raise UserError for a mapped field that the file does not have.

    Either of text and messages is enough, and the default ``meta`` may be absent.
    """
    mapped = {key: value for key, value in fields.model_dump().items() if value}
    missing = {key: value for key, value in mapped.items() if value not in known}
    content = {"text", "messages"} & mapped.keys()
    if content - missing.keys():
        missing = {key: value for key, value in missing.items() if key not in content}
    if missing.get("meta") == "meta":
        del missing["meta"]
    if missing:
        listing = "\n".join(
            f"  sources.{name}.fields.{key}: '{value}'{_nearest(value, known)}"
            for key, value in missing.items()
        )
        raise UserError(
            f"{path}: no row has the mapped field\n{listing}\n"
            f"Fields present: {', '.join(known[:MAX_FIELDS_LISTED]) or 'none'}. Correct the field "
            f"map (with sources.{name}.fields.id: null an id is made from the content)."
        )


def _nearest(value: str, names: list[str]) -> str:
    near = difflib.get_close_matches(value, names, n=1)
    return f" (did you mean '{near[0]}'?)" if near else ""
