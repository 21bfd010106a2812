"""The tables of the stage: labels, and the records that have none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mira.parsing import AnchoredReply
from mira.teacher.ladder import Outcome

REJECTED_COLUMNS = ("id", "source", "group", "reason", "detail")
BEYOND_BUDGET = "beyond_label_budget"


@dataclass(frozen=True)
class Labelled:
    """Tables ``labelling/{group}.parquet`` and ``labelling/rejected.parquet``, and the bill."""

    labels: pd.DataFrame
    rejected: pd.DataFrame
    cost: dict[str, Any]


def label_dtypes(slots: Sequence[str]) -> dict[str, str]:
    """Columns of the label table in order, with their types; ``A3`` becomes ``s3`` and ``r3``."""
    return {
        **dict.fromkeys(("id", "source", "split"), "str"),
        "round": "int64",
        **dict.fromkeys(score_columns(slots), "float64"),
        **{f"r{slot[1:]}": "str" for slot in slots},
        "overall": "float64",
        **dict.fromkeys(("recommendation", "domain_tag", "brief", "raw", "parse"), "str"),
        "prompt_hash": "str",
        **dict.fromkeys(("prompt_tokens", "completion_tokens"), "int64"),
        "cost": "float64",
    }


def score_columns(slots: Sequence[str]) -> list[str]:
    """The columns of the slots' scores."""
    return [f"s{slot[1:]}" for slot in slots]


def make_labels(
    records: pd.DataFrame,
    outcomes: Sequence[Outcome[AnchoredReply]],
    slots: Sequence[str],
) -> pd.DataFrame:
    """One row per usable outcome, in order; ``records`` has id, source, split and round."""
    rows = [
        {
            **{"id": row.id, "source": row.source, "split": row.split, "round": row.round},
            **_label(outcome),
        }
        for row, outcome in zip(records.itertuples(), outcomes, strict=True)
        if outcome.value is not None
    ]
    dtypes = label_dtypes(slots)
    return pd.DataFrame(rows, columns=list(dtypes)).astype(dtypes)


def _label(outcome: Outcome[AnchoredReply]) -> dict[str, Any]:
    reply = outcome.value
    assert reply is not None
    return {
        **{f"s{slot[1:]}": score for slot, score in reply.scores.items()},
        **{f"r{slot[1:]}": rationale for slot, rationale in reply.rationales.items()},
        "overall": reply.overall,
        "recommendation": reply.recommendation,
        "domain_tag": reply.domain_tag,
        "brief": reply.brief,
        "raw": outcome.text,
        "parse": outcome.rung,
        "prompt_hash": outcome.prompt_hash,
        "prompt_tokens": outcome.usage.prompt_tokens,
        "completion_tokens": outcome.usage.completion_tokens,
        "cost": outcome.charge.money,
    }


def reject_unusable(
    records: pd.DataFrame, outcomes: Sequence[Outcome[AnchoredReply]], group: str
) -> pd.DataFrame:
    """The records without a usable reply, with the reason: columns ``REJECTED_COLUMNS``."""
    return _rejected(
        (row.id, row.source, group, outcome.reason, outcome.detail)
        for row, outcome in zip(records.itertuples(), outcomes, strict=True)
        if outcome.rung == "rejected"
    )


def reject_beyond_budget(records: pd.DataFrame, group: str, why: str) -> pd.DataFrame:
    """The records that were never asked because the labels were enough before their turn."""
    return _rejected(
        (row.id, row.source, group, BEYOND_BUDGET, why) for row in records.itertuples()
    )


def _rejected(rows: Iterable[tuple[Any, ...]]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=list(REJECTED_COLUMNS)).astype("str")
