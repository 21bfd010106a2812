"""One table as CSV for machines, Markdown for people and LaTeX for papers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from mira.io import write_csv, write_text

MISSING = "–"
LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


@dataclass(frozen=True)
class Table:
    """A table ready to be written: exact values, and how people read them.

    ``titles`` maps columns to headings; ``decimals`` maps numeric columns to digits after the
    point (integers need none).
    """

    frame: pd.DataFrame
    caption: str
    note: str = ""
    titles: Mapping[str, str] = field(default_factory=dict)
    decimals: Mapping[str, int] = field(default_factory=dict)


def write_table(table: Table, stem: str | Path, stand_in: str | None = None) -> None:
    """Write ``stem``.csv (exact values), ``stem``.md and ``stem``.tex, each atomically.

    ``stand_in`` is added to the note, so that nobody takes the numbers for real models'.
    """
    stem = Path(stem)
    note = " ".join(part for part in (table.note, stand_in) if part)
    write_csv(table.frame, stem.with_name(f"{stem.name}.csv"))
    write_text(to_markdown(table, note), stem.with_name(f"{stem.name}.md"))
    write_text(to_latex(table, note, label=stem.name), stem.with_name(f"{stem.name}.tex"))


def to_markdown(table: Table, note: str) -> str:
    """The table as GitHub-flavoured Markdown, caption above and note below."""
    header = [table.titles.get(column, column) for column in table.frame.columns]
    rules = ["--:" if right else "---" for right in _right_aligned(table.frame)]
    rows = [markdown_row(row) for row in _cells(table)]
    body = "\n".join([markdown_row(header), markdown_row(rules), *rows])
    return f"**{table.caption}**\n\n{body}\n" + (f"\n*{note}*\n" if note else "")


def to_latex(table: Table, note: str, label: str) -> str:
    """The table as a LaTeX table environment (package booktabs)."""
    columns = "".join("r" if right else "l" for right in _right_aligned(table.frame))
    header = [table.titles.get(column, column) for column in table.frame.columns]
    lines = [" & ".join(map(escape_latex, row)) + r" \\" for row in [header, *_cells(table)]]
    parts = [
        r"\begin{table}[t]",
        r"\centering\small",
        rf"\caption{{{escape_latex(table.caption)}}}",
        rf"\label{{tab:{label}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        lines[0],
        r"\midrule",
        *lines[1:],
        r"\bottomrule",
        r"\end{tabular}",
        *([rf"\par\smallskip\footnotesize {escape_latex(note)}"] if note else []),
        r"\end{table}",
    ]
    return "\n".join(parts) + "\n"


def markdown_row(cells: Iterable[str]) -> str:
    """One row of a Markdown table; bars and line breaks in cells cannot break it."""
    safe = (str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells)
    return f"| {' | '.join(safe)} |"


def escape_latex(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    return "".join(LATEX.get(character, character) for character in text)


def _right_aligned(frame: pd.DataFrame) -> list[bool]:
    numeric = pd.api.types.is_numeric_dtype
    flag = pd.api.types.is_bool_dtype
    return [numeric(frame[column]) and not flag(frame[column]) for column in frame.columns]


def _cells(table: Table) -> list[list[str]]:
    columns = [
        [_show(value, table.decimals.get(str(name))) for value in values]
        for name, values in table.frame.items()
    ]
    return [list(row) for row in zip(*columns, strict=True)]


def _show(value: Any, decimals: int | None) -> str:
    """A value as people read it: yes and no, thousands separated, a dash where missing."""
    if pd.isna(value):
        return MISSING
    if isinstance(value, str):
        return value
    if pd.api.types.is_bool(value):
        return "yes" if value else "no"
    if decimals is None:
        return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.3g}"
    return f"{value:,.{decimals}f}"
