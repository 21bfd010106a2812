"""Commands beside the workflow.

python -m mira summary results/demo     what a run made, in a screenful
python -m mira check config/own.yaml    settings and source files, before anything runs
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mira.config import load_config
from mira.errors import UserError


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command; a user's mistake ends it with its message and status 1."""
    parser = argparse.ArgumentParser(prog="python -m mira", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    summary = commands.add_parser("summary", help="what a run made")
    summary.add_argument("run_dir", type=Path)
    check = commands.add_parser("check", help="settings and source files")
    check.add_argument("config", type=Path)
    arguments = parser.parse_args(argv)
    try:
        if arguments.command == "summary":
            print(summarise_run(arguments.run_dir))
        else:
            print(check_config(arguments.config))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


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
