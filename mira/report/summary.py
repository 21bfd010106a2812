"""The run in about five sentences, each made from its numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from mira.report.selections import kept_by_method
from mira.report.trust import agreement
from mira.report.wording import (
    count,
    decimal,
    interval,
    is_mira,
    is_number,
    method_name,
    percent,
    plural,
    short_count,
)

if TYPE_CHECKING:
    from mira.report.gather import ReportData


def summary(data: ReportData) -> list[str]:
    """What went in, how it was judged, what was kept, and whether that worked (ours)."""
    sentences = [_corpus(data), _groups(data), _agreement(data), _selection(data)]
    sentences += separation_verdict(data.separation)
    return [sentence for sentence in sentences if sentence]


def stand_ins(settings: dict[str, Any]) -> list[str]:
    """Which models of the run are stand-ins, in words; empty for a run with real ones."""
    found = []
    if settings.get("teacher", {}).get("kind") == "embedded":
        found.append("The teacher is a rule-based program, not a language model.")
    distillation = settings.get("distillation", {})
    if "base_model" in distillation and distillation["base_model"] is None:
        found.append("The students are toy models trained from scratch in minutes.")
    return found


def headline_method(methods: list[str]) -> str | None:
    """The MIRA method the page explains in detail: per group where it was run."""
    mira = [method for method in methods if is_mira(method)]
    return "mira_group" if "mira_group" in mira else next(iter(mira), None)


def separation_verdict(separation: pd.DataFrame) -> list[str]:
    """MIRA against the best baseline on all records; a baseline that wins is named."""
    pooled = separation[(separation["source"] == "ALL") & separation["auroc"].notna()]
    if pooled.empty:
        return []
    is_ours = pooled["method"].map(is_mira).astype(bool)
    ours, others = pooled[is_ours], pooled[~is_ours]
    if ours.empty:
        return []
    best = _best(ours)
    sentences = [
        f"Asked to tell intact records from ones damaged on purpose, which no stage could see, "
        f"{method_name(best['method'])} reaches an AUROC of {_auroc(best)}."
    ]
    if others.empty:
        return sentences
    rival = _best(others)
    if rival["auroc"] > best["auroc"]:
        apart = "their intervals overlap"
        if rival["auroc_low"] > best["auroc_high"]:
            apart = "their intervals do not overlap"
        sentences.append(
            f"A baseline beats MIRA here: {method_name(rival['method'])} reaches "
            f"{_auroc(rival)}, and {apart}."
        )
    else:
        sentences.append(
            f"The best baseline, {method_name(rival['method']).lower()}, reaches {_auroc(rival)}; "
            "0.50 is chance."
        )
    return sentences


def _corpus(data: ReportData) -> str:
    families = data.corpus["family"].nunique()
    sources = data.corpus["source"].nunique()
    left_out = "none was left out"
    if len(data.rejected):
        left_out = f"{plural(len(data.rejected), 'record')} could not be used"
    return (
        f"The corpus holds {plural(len(data.corpus), 'record')} "
        f"({short_count(data.corpus['n_tokens'].sum())} tokens) from {plural(sources, 'source')} "
        f"in {plural(families, 'family', 'families')}; {left_out}."
    )


def _groups(data: ReportData) -> str:
    if not data.anchors:
        return ""
    anchors = sum(len(rows) for rows in data.anchors.values())
    return (
        f"Sources with similar text form {plural(len(data.anchors), 'group')}, and in each the "
        f"teacher's free judgements ({short_count(len(data.points))} in all) condense into "
        f"{anchors // len(data.anchors)} anchors on which records are scored."
    )


def _agreement(data: ReportData) -> str:
    groups = agreement(data.cells, data.ridge)
    if groups.empty:
        return ""
    kept, cells = int(groups["kept"].sum()), int(groups["cells"].sum())
    spearman = _mean_of_groups(groups, "spearman")
    ridge = _mean_of_groups(groups, "spearman_ridge")
    sentence = (
        f"On labels they never saw, the students rank records as the teacher does with a mean "
        f"Spearman of {decimal(spearman)}"
    )
    if is_number(ridge):
        sentence += f" (tf-idf with ridge regression: {decimal(ridge)})"
    trusted = f"{kept} of {cells} cells ({percent(kept / cells)})"
    return f"{sentence}; {trusted} are trusted enough to count."


def _mean_of_groups(groups: pd.DataFrame, column: str) -> float:
    known = groups[groups[column].notna() & (groups["kept"] > 0)]
    weights = known["kept"].astype(float)
    return float((known[column] * weights).sum() / weights.sum()) if len(known) else float("nan")


def _selection(data: ReportData) -> str:
    method = headline_method(list(data.selections))
    if method is None:
        return ""
    kept = kept_by_method({method: data.selections[method]}, data.certificates)[0]
    budget = f" under a budget of {count(kept.budget)}" if kept.budget is not None else ""
    share = percent(kept.tokens / kept.all_tokens, 1)
    return (
        f"{method_name(method)} keeps {count(kept.records)} of {count(kept.all_records)} records: "
        f"{count(kept.tokens)} tokens{budget}, {share} of the corpus."
    )


def _best(rows: pd.DataFrame) -> Any:
    return rows.iloc[int(rows["auroc"].astype(float).argmax())]


def _auroc(row: Any) -> str:
    return f"{decimal(row['auroc'])} {interval(row['auroc_low'], row['auroc_high'])}".strip()
