"""``summary`` and ``check``: a finished run, and settings before a run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mira.config import load_config


def add_commands(commands: Any) -> None:
    """Add the commands to the parser's subcommands."""
    summary = commands.add_parser("summary", help="what a run made")
    summary.add_argument("run_dir", type=Path, help="results/<run>")
    summary.set_defaults(execute=_summarise)
    check = commands.add_parser("check", help="settings and source files")
    check.add_argument("config", type=Path)
    check.set_defaults(execute=_check)


def _summarise(arguments: argparse.Namespace) -> None:
    print(summarise_run(arguments.run_dir))


def _check(arguments: argparse.Namespace) -> None:
    print(check_config(arguments.config))


def summarise_run(run_dir: Path) -> str:
    """The summary that ``make demo`` ends with."""
    from mira.terminal_summary import terminal_summary

    return terminal_summary(run_dir)


def check_config(path: Path) -> str:
    """Validate the settings and find the files of every source; a line per source."""
    from mira.sampling.readers import source_files

    config = load_config(path)
    lines = [f"{path}: run '{config.run}', {len(config.sources)} sources"]
    for name, source in sorted(config.sources.items()):
        if source.path is None:
            lines.append(f"  {name} ({source.family}): harvested")
        else:
            files = source_files(name, source)
            lines.append(f"  {name} ({source.family}): {len(files)} file(s)")
    lines.append(f"  groups: {', '.join(config.group_names())}")
    return "\n".join(lines)
