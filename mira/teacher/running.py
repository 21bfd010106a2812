"""A teacher that can be asked: the endpoint of the config, or the embedded one started here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mira.config import Teacher
from mira.teacher.settings import TeacherSettings


@contextmanager
def running_teacher(teacher: Teacher, seed: int, log_path: str | Path) -> Iterator[TeacherSettings]:
    """Settings to ask the teacher with; an embedded teacher lives as long as the block."""
    if teacher.kind == "endpoint":
        yield TeacherSettings.from_config(teacher)
        return
    from mira.teacher.embedded.server import embedded_teacher

    with embedded_teacher(seed, log_path, noise=teacher.noise, halo=teacher.halo) as base_url:
        yield TeacherSettings.from_config(teacher, [base_url], seed)
