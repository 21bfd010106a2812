"""Counting, exporting and compacting a journal."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from mira.errors import UserError
from mira.io import write_jsonl, write_parquet
from mira.teacher.journal.ledger import Hold, Spending
from mira.teacher.journal.segment import SUFFIX, encode, sync_folder
from mira.teacher.journal.store import COMPACTED, IN_USE_FILE, Journal
from mira.teacher.pricing import Charge

_LINES_PER_FRAME = 256


@dataclass(frozen=True)
class Contents:
    """What a journal holds: replies by model, spending by payer, files and their size."""

    replies: int
    by_model: dict[str, int]
    spending: dict[str, Spending]
    segments: int
    size_bytes: int
    damaged: list[tuple[Path, int]]


def describe(folder: Path) -> Contents:
    """Count a journal's replies and charges. Raises UserError where there is none."""
    journal = open_existing(folder)
    files = _existing(folder)
    return Contents(
        len(journal),
        dict(Counter(str(entry.get("model")) for entry in journal.iter_entries())),
        {payer: journal.spending(payer) for payer in journal.payers()},
        len(files),
        sum(path.stat().st_size for path in files),
        journal.damaged(),
    )


def export(folder: Path, out: Path) -> int:
    """Write all replies to a JSONL or a Parquet file; returns how many."""
    journal = open_existing(folder)
    if out.suffix == ".parquet":
        import pandas as pd

        rows = [_flat(entry) for entry in journal.iter_entries()]
        write_parquet(pd.DataFrame(rows), out)
    else:
        write_jsonl(journal.iter_entries(), out)
    return len(journal)


def compact(folder: Path) -> tuple[int, int]:
    """Rewrite all segments as one; bytes before and after.

    What is kept: every reply once, every charge, and calls that may have been billed. The rename
    of the finished segment, which names those it replaces, is the moment of change: killed before
    it nothing has happened, killed after it the old ones are ignored. Raises UserError while
    another process uses the folder.
    """
    _existing(folder)
    with (folder / IN_USE_FILE).open("ab") as in_use:
        try:
            fcntl.flock(in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"The journal in {folder} is in use: wait until no run asks from it, and compact "
                f"it then."
            ) from None
        old = _existing(folder)
        before = sum(path.stat().st_size for path in old)
        target = folder / f"{COMPACTED}{secrets.token_hex(8)}{SUFFIX}"
        temporary = folder / f".{target.name}.partial"
        _write(temporary, _kept_lines(Journal(folder, shared=False), [path.name for path in old]))
        temporary.rename(target)
        sync_folder(folder)
        for path in old:
            path.unlink()
        sync_folder(folder)
        return before, target.stat().st_size


def open_existing(folder: Path) -> Journal:
    """The journal in a folder; raises UserError where there is none."""
    _existing(folder)
    return Journal(folder)


def _existing(folder: Path) -> list[Path]:
    segments = sorted(folder.glob(f"[!.]*{SUFFIX}"))
    if not segments:
        raise UserError(
            f"No journal in {folder}: expected files *{SUFFIX}. The folder is the config's "
            f"teacher.journal, results/journal unless it says otherwise."
        )
    return segments


def _kept_lines(journal: Journal, replaced: list[str]) -> Iterator[bytes]:
    yield orjson.dumps({"replaces": replaced})
    kept: defaultdict[str, Charge] = defaultdict(Charge)
    calls: Counter[str] = Counter()
    for entry in journal.iter_entries():
        kept[entry["payer"]] += Charge(*entry["charge"])
        calls[entry["payer"]] += 1
        yield orjson.dumps({name: value for name, value in entry.items() if name != "call"})
    for payer in journal.payers():
        spending = journal.spending(payer)
        paid_twice = spending.settled - kept[payer]
        if more := spending.settled_calls - calls[payer]:
            charge = [paid_twice.money, paid_twice.tokens]
            yield orjson.dumps({"payer": payer, "charge": charge, "calls": more})
    yield from (_lost_line(number, hold) for number, hold in enumerate(journal.lost_holds(), 1))


def _lost_line(number: int, hold: Hold) -> bytes:
    """A hold that nothing will close: once its writer is gone it counts as lost."""
    most = [hold.money, hold.tokens]
    return orjson.dumps({"key": hold.key, "call": number, "payer": hold.payer, "hold": most})


def _write(path: Path, lines: Iterable[bytes]) -> None:
    with path.open("wb") as handle:
        rest = iter(lines)
        while block := list(islice(rest, _LINES_PER_FRAME)):
            handle.write(encode(block))
        handle.flush()
        os.fsync(handle.fileno())


def _flat(entry: dict[str, Any]) -> dict[str, Any]:
    usage = entry.get("usage") or {}
    money, tokens = entry["charge"]
    rest = {name: value for name, value in entry.items() if name not in ("usage", "charge", "call")}
    return {**rest, **usage, "money": money, "tokens": tokens}
