"""Phase 2: the teacher scores records on the group's anchors; its scores are the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mira.config import Prices
from mira.parsing import AnchoredReply, parse_anchored
from mira.prompts import build_anchored, fit_text
from mira.teacher.bill import make_bill
from mira.teacher.client import CallCounts
from mira.teacher.journal import Journal
from mira.teacher.ladder import Outcome, Reading, climb
from mira.teacher.pricing import cost
from mira.teacher.progress import Progress
from mira.teacher.settings import TeacherSettings

STAGE_VERSION = 1

REJECTED_COLUMNS = ("id", "source", "group", "reason", "detail")


@dataclass(frozen=True)
class Labelled:
    """Tables ``labelling/{group}.parquet`` and ``labelling/rejected.parquet``, and the bill."""

    labels: pd.DataFrame
    rejected: pd.DataFrame
    cost: dict[str, Any]


async def label(
    records: pd.DataFrame,
    anchors: Sequence[Mapping[str, Any]],
    settings: TeacherSettings,
    journal: Journal,
    *,
    group: str,
    prices: Prices,
    max_chars: int = 48_000,
    progress: Progress | None = None,
) -> Labelled:
    """Score every record on every anchor (anchored re-scoring, paper phase 2).

    ``records`` has id, source, family, split and text; ``anchors`` are the rows of
    ``anchoring/{group}.jsonl``. A slot that the reply leaves unclear is null, never a default.
    Rows come out by source and id whatever the order of replies. Raises UserError as ``climb``
    does.
    """
    records = records.sort_values(["source", "id"], kind="stable", ignore_index=True)
    names = {anchor["slot"]: anchor["name"] for anchor in anchors}
    questions = (
        build_anchored(fit_text(text, max_chars), family, anchors)
        for text, family in zip(records["text"], records["family"], strict=True)
    )
    outcomes, calls = await climb(
        questions,
        len(records),
        lambda text: _read(text, names),
        settings,
        journal,
        progress or Progress(f"labelling {group}", len(records)),
    )
    return Labelled(
        labels=_labels(records, outcomes, list(names), prices),
        rejected=_rejected(records, outcomes, group),
        cost=_cost(outcomes, calls, prices),
    )


def label_dtypes(slots: Sequence[str]) -> dict[str, str]:
    """Columns of the label table in order, with their types; ``A3`` becomes ``s3`` and ``r3``."""
    return {
        **dict.fromkeys(("id", "source", "split"), "str"),
        **{f"s{slot[1:]}": "float64" for slot in slots},
        **{f"r{slot[1:]}": "str" for slot in slots},
        "overall": "float64",
        **dict.fromkeys(("recommendation", "domain_tag", "brief", "raw", "parse"), "str"),
        "prompt_hash": "str",
        **dict.fromkeys(("prompt_tokens", "completion_tokens"), "int64"),
        "cost": "float64",
    }


def _read(text: str, names: Mapping[str, str]) -> Reading[AnchoredReply]:
    reply = parse_anchored(text, list(names), names=names)
    return Reading(reply, reply.status, reply.n_scores, len(names), reply.problems)


def _labels(
    records: pd.DataFrame,
    outcomes: list[Outcome[AnchoredReply]],
    slots: Sequence[str],
    prices: Prices,
) -> pd.DataFrame:
    rows = [
        {"id": row.id, "source": row.source, "split": row.split, **_label(outcome, prices)}
        for row, outcome in zip(records.itertuples(), outcomes, strict=True)
        if outcome.value is not None
    ]
    dtypes = label_dtypes(slots)
    return pd.DataFrame(rows, columns=list(dtypes)).astype(dtypes)


def _label(outcome: Outcome[AnchoredReply], prices: Prices) -> dict[str, Any]:
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
        "cost": cost(outcome.usage, prices),
    }


def _rejected(
    records: pd.DataFrame, outcomes: list[Outcome[AnchoredReply]], group: str
) -> pd.DataFrame:
    rows = [
        (row.id, row.source, group, outcome.reason, outcome.detail)
        for row, outcome in zip(records.itertuples(), outcomes, strict=True)
        if outcome.rung == "rejected"
    ]
    return pd.DataFrame(rows, columns=list(REJECTED_COLUMNS)).astype("str")


def _cost(
    outcomes: list[Outcome[AnchoredReply]], calls: CallCounts, prices: Prices
) -> dict[str, Any]:
    bill = make_bill(outcomes, calls, prices)
    return {**bill, "labelled": bill["records"] - bill["rejected"]}
