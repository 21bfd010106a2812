"""The flow of records and tokens from the input to the selection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from mira.report.selections import kept_rows
from mira.report.wording import method_name

if TYPE_CHECKING:
    from mira.report.gather import ReportData


@dataclass(frozen=True)
class Step:
    """One bar of the funnel.

    ``tokens`` is None where they were never counted (records that could not be read).
    ``side`` marks a sample drawn from the corpus: later steps do not follow from it.
    """

    name: str
    records: int
    tokens: int | None
    side: bool = False
    note: str = ""


def funnel(data: ReportData, method: str | None) -> list[Step]:
    """Input, corpus, the teacher's two samples, scored and selected records (ours)."""
    corpus = len(data.corpus)
    rejected = len(data.rejected)
    steps = [
        Step("Read", corpus + rejected, None),
        Step("Left out", rejected, None, note=reasons(data.rejected)),
        Step("Corpus", corpus, _tokens(data.corpus)),
    ]
    if not data.points.empty:
        steps.append(_sample(data, data.points, "Judged freely", ""))
    if not data.labels.empty:
        failed = len(data.label_rejected)
        note = f"{failed:,} more gave no usable reply" if failed else ""
        steps.append(_sample(data, data.labels, "Labelled on the anchors", note))
    if not data.scored.empty:
        steps.append(Step("Scored by students", len(data.scored), _tokens(data.scored)))
    if method is not None:
        kept = kept_rows(data.selections[method])
        steps.append(Step(f"Selected ({method_name(method)})", len(kept), _tokens(kept)))
    return steps


def reasons(rejected: pd.DataFrame, most: int = 4) -> str:
    """The commonest reasons for leaving a record out, with their counts."""
    counts = rejected["reason"].value_counts()
    named = [f"{number:,} {reason}" for reason, number in counts.head(most).items()]
    others = counts.iloc[most:].sum()
    return ", ".join([*named, f"{others:,} for other reasons"] if others else named)


def _sample(data: ReportData, rows: pd.DataFrame, name: str, note: str) -> Step:
    drawn = rows[["source", "id"]].drop_duplicates()
    tokens = _tokens(drawn.merge(data.corpus, on=["source", "id"], how="left"))
    return Step(name, len(drawn), tokens, side=True, note=note)


def _tokens(frame: pd.DataFrame) -> int:
    return int(frame["n_tokens"].sum())
