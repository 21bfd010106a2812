"""Commands beside the workflow: ``python -m mira COMMAND``.

summary     what a run made, in a screenful
check       settings and source files, before anything runs
journal     the store of paid replies: count, read, export, compact
labelling   what the teacher will cost; how records that talk to the judge fare
scoring     what scoring a corpus will take in GPU-hours and money
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from mira.cli import journal, labelling, run, scoring
from mira.errors import UserError


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command; a user's mistake ends it with its message and status 1."""
    parser = argparse.ArgumentParser(
        prog="python -m mira",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (run, journal, labelling, scoring):
        module.add_commands(commands)
    arguments = parser.parse_args(argv)
    try:
        arguments.execute(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        # Whoever read the output, `head` say, has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
