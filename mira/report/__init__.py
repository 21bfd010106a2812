"""The one-page report: what a run did, what it selected, and why.

:func:`write_report` is the whole stage; the other modules each answer one of its questions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mira.io import write_text

STAGE_VERSION = 1


def write_report(run_dir: Path, settings: dict[str, Any], path: Path) -> None:
    """Gather the results below ``run_dir`` and write the page to ``path``, atomically (ours).

    Raises :class:`mira.errors.UserError` where ``run_dir`` holds no sampled corpus.
    """
    from mira.report.gather import gather
    from mira.report.render import render

    write_text(render(gather(run_dir, settings)), path)
