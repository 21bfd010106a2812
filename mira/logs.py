"""Logging of a step: to its log file and to the terminal, with user mistakes told plainly."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mira.errors import UserError
from mira.orphans import end_with_ancestors

QUIET = (
    "httpx",
    "httpx2",
    "openai",
    "aiohttp.access",
    "sentence_transformers",
    "transformers",
    "fontTools",
)


@contextmanager
def logged(path: str | Path) -> Iterator[None]:
    """Log to a file and to stderr while the step runs; the step ends if its workflow dies.

    A UserError ends the process with its message and status 1, without a traceback; any other
    error keeps its traceback, in the file too.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        level=logging.INFO,
        format=f"%(asctime)s {path.stem}: %(message)s",
        datefmt="%H:%M:%S",
        handlers=[logging.FileHandler(path, mode="w"), logging.StreamHandler(sys.stderr)],
        force=True,
    )
    end_with_ancestors()
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        yield
    except UserError as error:
        logging.error("error: %s", error)
        sys.exit(1)
    except Exception:
        logging.exception("unexpected error; please report it with this log: %s", path)
        sys.exit(1)
