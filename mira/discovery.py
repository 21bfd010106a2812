"""Phase 1: the teacher judges records on dimensions of its own choice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mira.asking import Points, ask_freely
from mira.teacher.bill import make_bill
from mira.teacher.journal import Journal
from mira.teacher.ladder import Outcome, climb
from mira.teacher.progress import Progress
from mira.teacher.settings import TeacherSettings

STAGE_VERSION = 1


@dataclass(frozen=True)
class Discovered:
    """Rows of ``discovery/{group}.jsonl``, of the rejected records, and what was counted."""

    points: list[dict[str, Any]]
    rejected: list[dict[str, Any]]
    counts: dict[str, Any]


async def discover(
    records: pd.DataFrame,
    settings: TeacherSettings,
    journal: Journal,
    *,
    n_dimensions: int = 15,
    max_chars: int = 48_000,
    progress: Progress | None = None,
) -> Discovered:
    """Ask for ``n_dimensions`` judgment points per record (free-form judging, paper phase 1).

    ``records`` has id, source, family and text; longer texts are shown head and tail. Rows come
    out by source and id whatever the order of replies. Raises UserError as ``climb`` does.
    """
    records = records.sort_values(["source", "id"], kind="stable", ignore_index=True)
    asking = ask_freely(n_dimensions, max_chars)
    questions = (
        asking.build(text, family)
        for text, family in zip(records["text"], records["family"], strict=True)
    )
    outcomes, calls = await climb(
        questions,
        len(records),
        asking.read,
        settings,
        journal,
        progress or Progress("discovery", len(records)),
    )
    identities = list(zip(records["id"], records["source"], strict=True))
    points = list(_point_rows(identities, outcomes))
    rejected = [
        {"id": id_, "source": source, "reason": outcome.reason, "detail": outcome.detail}
        for (id_, source), outcome in zip(identities, outcomes, strict=True)
        if outcome.rung == "rejected"
    ]
    bill = make_bill(outcomes, calls)
    counts = {**bill, "judged": bill["records"] - bill["rejected"], "points": len(points)}
    return Discovered(points, rejected, counts)


def _point_rows(
    identities: list[tuple[str, str]], outcomes: list[Outcome[Points]]
) -> Iterable[dict[str, Any]]:
    for (id_, source), outcome in zip(identities, outcomes, strict=True):
        for point in outcome.value or ():
            yield {"id": id_, "source": source, **point, "prompt_hash": outcome.prompt_hash}
