"""A teacher that can be asked: the endpoint of the config, or the embedded one started here."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from mira.config import Teacher
from mira.errors import UserError
from mira.teacher.journal import Journal
from mira.teacher.settings import TeacherSettings

T = TypeVar("T")


def run_asking(asking: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that asks a teacher; SIGTERM and Ctrl-C let calls in flight finish.

    Slurm sends SIGTERM before it kills. Raises UserError after such a stop.
    """

    async def stoppable() -> T:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await asking

    try:
        return asyncio.run(stoppable())
    except (asyncio.CancelledError, KeyboardInterrupt):
        raise UserError(
            "Stopped by a signal. All replies so far are in the journal: start again, and nothing "
            "is asked twice."
        ) from None


def open_journal(teacher: Teacher, payer: str) -> Journal:
    """The config's journal, for the run ``payer`` under the config's cap."""
    return Journal(teacher.journal, payer=payer, cap=teacher.cap)


@contextmanager
def running_teacher(
    teacher: Teacher, payer: str, seed: int, log_path: str | Path
) -> Iterator[TeacherSettings]:
    """Settings to ask the teacher with; an embedded teacher lives as long as the block.

    ``payer`` is the run whose cap counts. What decides the embedded teacher's replies without
    being sent to it (``seed`` and the like) becomes part of their journal keys.
    """
    if teacher.kind == "endpoint":
        yield TeacherSettings.from_config(teacher, payer)
        return
    from mira.teacher.embedded.judge import VERSION
    from mira.teacher.embedded.server import embedded_teacher

    variant = {"seed": seed, "halo": teacher.halo, "noise": teacher.noise, "version": VERSION}
    with embedded_teacher(seed, log_path, noise=teacher.noise, halo=teacher.halo) as base_url:
        yield TeacherSettings.from_config(teacher, payer, base_urls=[base_url], variant=variant)
