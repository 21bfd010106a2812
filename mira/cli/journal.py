"""``journal``: the store of paid replies: count, read, export, compact."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import orjson

from mira.errors import UserError
from mira.teacher.journal import say_spending

DEFAULT = Path("results/journal")


def add_commands(commands: Any) -> None:
    """Add the commands to the parser's subcommands."""
    journal = commands.add_parser("journal", help="the store of paid replies")
    parts = journal.add_subparsers(dest="part", required=True, metavar="PART")
    for name, execute, help_ in (
        ("stats", _stats, "replies by model, spending by run, files"),
        ("show", _show, "one reply by its key, or all as JSON lines"),
        ("export", _export, "all replies into a JSONL or Parquet file"),
        ("compact", _compact, "rewrite all segments as one, smaller"),
    ):
        part = parts.add_parser(name, help=help_)
        part.add_argument("--folder", type=Path, default=DEFAULT, help=f"default: {DEFAULT}")
        part.set_defaults(execute=execute)
        if name == "show":
            part.add_argument("key", nargs="?", help="32 hex digits; left out: every reply")
        if name == "export":
            part.add_argument("out", type=Path, help="*.jsonl or *.parquet")


def _stats(arguments: argparse.Namespace) -> None:
    from mira.teacher.journal.maintenance import describe

    contents = describe(arguments.folder)
    print(
        f"{arguments.folder}: {contents.replies:,} replies, {contents.segments} segments, "
        f"{contents.size_bytes / 1e6:,.1f} MB"
    )
    for model, count in sorted(contents.by_model.items()):
        print(f"  model {model}: {count:,} replies")
    for payer, spending in contents.spending.items():
        flying = spending.calls_in_flight
        print(
            f"  run {payer or '(none)'}: {spending.settled_calls:,} calls, {say_spending(spending)}"
            + (f"; {flying} calls in flight" if flying else "")
        )
    for path, offset in contents.damaged:
        print(f"  damaged: {path} at byte {offset}; what it held will be asked again")


def _show(arguments: argparse.Namespace) -> None:
    from mira.teacher.journal.maintenance import open_existing

    journal = open_existing(arguments.folder)
    if arguments.key is None:
        for entry in journal.iter_entries():
            sys.stdout.buffer.write(orjson.dumps(entry) + b"\n")
        return
    try:
        found = journal.get(arguments.key)
    except ValueError:
        found = None
    if found is None:
        raise UserError(f"No reply under the key '{arguments.key}' in {arguments.folder}.")
    sys.stdout.buffer.write(orjson.dumps(found, option=orjson.OPT_INDENT_2) + b"\n")


def _export(arguments: argparse.Namespace) -> None:
    from mira.teacher.journal.maintenance import export

    if arguments.out.suffix not in (".jsonl", ".parquet"):
        raise UserError(f"Cannot export to {arguments.out}: expected *.jsonl or *.parquet.")
    count = export(arguments.folder, arguments.out)
    print(f"{count:,} replies written to {arguments.out}")


def _compact(arguments: argparse.Namespace) -> None:
    from mira.teacher.journal.maintenance import compact

    before, after = compact(arguments.folder)
    print(f"{arguments.folder}: {before / 1e6:,.1f} MB became {after / 1e6:,.1f} MB")
