"""The end of a run on the terminal: where the report is and what came out, on one screen."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from mira.io import read_json
from mira.report.gather import (
    read_audit,
    read_cells,
    read_ridge,
    read_selections,
    read_separation,
    read_stage_seconds,
)
from mira.report.render import audit_view, ordered_stages
from mira.report.selections import kept_by_method
from mira.report.trust import agreement
from mira.report.wording import (
    count,
    decimal,
    duration,
    interval,
    method_name,
    method_order,
    percent,
)

Table = list[tuple[str, ...]]


def terminal_summary(run_dir: Path) -> str:
    """A short account of the run in ``run_dir`` for the terminal (ours).

    Report, selection per method, separation with 95 % intervals, agreement of students and
    teacher per group, seconds per stage, audit verdicts; parts the run lacks are left out.
    """
    run_dir = Path(run_dir)
    parts = [
        _opening(run_dir),
        _selected(run_dir),
        _separation(read_separation(run_dir)),
        _agreement(run_dir),
        _stages(run_dir),
        _audit(run_dir),
    ]
    return "\n\n".join(part for part in parts if part)


def _opening(run_dir: Path) -> str:
    report = run_dir / "report.html"
    where = f"Report: {report}" if report.exists() else f"Report: not written yet ({report})"
    return f"Run '{run_dir.name}'\n{where}"


def _selected(run_dir: Path) -> str:
    selections = read_selections(run_dir)
    paths = {method: run_dir / "selection" / f"{method}.json" for method in selections}
    certificates = {m: read_json(path) for m, path in paths.items() if path.exists()}
    rows: Table = [("method", "records", "tokens", "of corpus", "budget")]
    for kept in kept_by_method(selections, certificates):
        share = percent(kept.tokens / kept.all_tokens if kept.all_tokens else None, 1)
        rows.append(
            (
                method_name(kept.method),
                count(kept.records),
                count(kept.tokens),
                share,
                count(kept.budget),
            )
        )
    return _table("Selected", rows)


def _separation(separation: pd.DataFrame) -> str:
    pooled = separation[separation["source"] == "ALL"]
    within = separation[separation["source"] == "MEAN"].set_index("method")["auroc"]
    heading = ("AUROC", "95 % interval", "by source", "intact kept", "corpus")
    rows: Table = [("method", *heading)]
    ordered = sorted(pooled.itertuples(), key=lambda row: method_order(str(row.method)))
    for row in ordered:
        rows.append(
            (
                method_name(str(row.method)),
                decimal(row.auroc, 3),
                interval(row.auroc_low, row.auroc_high),
                decimal(within.get(row.method), 3),
                percent(row.precision, 1),
                percent(row.base_rate, 1),
            )
        )
    return _table("Intact told from damaged records", rows)


def _agreement(run_dir: Path) -> str:
    rows: Table = [("group", "Spearman", "tf-idf + ridge", "trusted cells")]
    for row in agreement(read_cells(run_dir), read_ridge(run_dir)).itertuples():
        rows.append(
            (
                str(row.group),
                decimal(row.spearman),
                decimal(row.spearman_ridge),
                f"{row.kept} of {row.cells}",
            )
        )
    return _table("Students against the teacher, on held-out labels", rows)


def _stages(run_dir: Path) -> str:
    stages = ordered_stages(read_stage_seconds(run_dir))
    rows: Table = [("stage", "time")]
    rows += [(stage, duration(seconds)) for stage, seconds in stages]
    if stages:
        rows.append(("all", duration(sum(seconds for _, seconds in stages))))
    return _table("Working time (parallel jobs each count in full)", rows)


def _audit(run_dir: Path) -> str:
    counts = audit_view(read_audit(run_dir))["counts"]
    verdicts = ", ".join(f"{number} {verdict}" for verdict, number in counts.items())
    return f"Audit: {verdicts}" if verdicts else ""


def _table(title: str, rows: Table) -> str:
    """Aligned columns, the first to the left, under a title; empty without rows."""
    if len(rows) < 2:
        return ""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [title]
    for row in rows:
        first, *others = (
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append(("  " + "   ".join([first, *others])).rstrip())
    return "\n".join(lines)
