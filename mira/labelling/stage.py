"""Asking the teacher for a group's labels, in one round or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import reduce
from typing import Any

import pandas as pd

from mira.asking import ask_on_anchors
from mira.config import Labelling
from mira.labelling.budget import LabelBudget
from mira.labelling.tables import (
    Labelled,
    make_labels,
    reject_beyond_budget,
    reject_unusable,
    score_columns,
)
from mira.parsing import AnchoredReply
from mira.teacher.bill import make_bill
from mira.teacher.client import CallCounts
from mira.teacher.journal import Journal
from mira.teacher.ladder import Outcome, climb
from mira.teacher.progress import Progress
from mira.teacher.settings import TeacherSettings


async def label(
    records: pd.DataFrame,
    anchors: Sequence[Mapping[str, Any]],
    settings: TeacherSettings,
    journal: Journal,
    *,
    group: str,
    max_chars: int = 48_000,
    plan: Labelling | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Labelled:
    """Score the records on every anchor (anchored re-scoring, paper phase 2).

    ``records`` has id, source, family, split and text; ``anchors`` are the rows of
    ``anchoring/{group}.jsonl``. A slot that the reply leaves unclear is null, never a default.
    Rows come out by source and id whatever the order of replies. ``plan`` says how many records
    are asked (all, by default) and ``seed`` picks them: see ``LabelBudget``. Those never asked are
    in the table of rejected records, so labelled and rejected together are ``records``.
    ``progress`` is the first round's. Raises UserError as ``climb`` and ``LabelBudget`` do.
    """
    records = records.sort_values(["source", "id"], kind="stable", ignore_index=True)
    asking = ask_on_anchors(anchors, max_chars)
    slots = [anchor["slot"] for anchor in anchors]
    budget = LabelBudget(records, score_columns(slots), plan or Labelling(), seed, group)

    async def ask(rows: Any, number: int) -> _Round:
        chosen = records.iloc[rows].assign(round=number)
        name = f"labelling {group}" + (f", round {number}" if budget.grows else "")
        shown = progress if progress and number == 0 else Progress(name, len(chosen))
        questions = (
            asking.build(text, family)
            for text, family in zip(chosen["text"], chosen["family"], strict=True)
        )
        outcomes, calls = await climb(questions, len(chosen), asking.read, settings, journal, shown)
        return _Round(chosen, outcomes, calls, make_labels(chosen, outcomes, slots))

    rounds = [await ask(budget.first_round(), 0)]
    while budget.left and len(rows := budget.next_round(_merge([r.labels for r in rounds]))):
        rounds.append(await ask(rows, len(rounds)))
    rejected = [reject_unusable(r.records, r.outcomes, group) for r in rounds]
    unasked = records.iloc[budget.waiting]
    return Labelled(
        labels=_merge([r.labels for r in rounds]),
        rejected=_merge([*rejected, reject_beyond_budget(unasked, group, budget.stopped)]),
        cost=_cost(rounds, len(unasked)),
    )


@dataclass(frozen=True)
class _Round:
    """What one round asked, and what came of it."""

    records: pd.DataFrame
    outcomes: list[Outcome[AnchoredReply]]
    calls: CallCounts
    labels: pd.DataFrame


def _merge(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Tables of several rounds as one, by source and id."""
    merged = pd.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0]
    return merged.sort_values(["source", "id"], kind="stable", ignore_index=True)


def _cost(rounds: Sequence[_Round], not_asked: int) -> dict[str, Any]:
    outcomes = [outcome for one in rounds for outcome in one.outcomes]
    bill = make_bill(outcomes, reduce(_add, (one.calls for one in rounds)))
    labelled = bill["records"] - bill["rejected"]
    return {**bill, "labelled": labelled, "not_asked": not_asked, "rounds": len(rounds)}


def _add(one: CallCounts, other: CallCounts) -> CallCounts:
    names = [field.name for field in fields(CallCounts)]
    return CallCounts(**{name: getattr(one, name) + getattr(other, name) for name in names})
