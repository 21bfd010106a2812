"""The measurements as tables, for the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mira.injection.echoes import Reading
from mira.injection.measure import ALL, LIFTED_POINTS, Effect
from mira.report.wording import ABSENT, count, decimal, interval, percent
from mira.tables.write import markdown_row

LANGUAGE_NAMES = {"en": "English", "zh": "Chinese", ALL: "both"}


@dataclass(frozen=True)
class TextTable:
    """A table of text: a caption, a header and rows. The first ``left`` columns are words."""

    caption: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    left: int = 1


def reading_table(
    caption: str, anchored: Sequence[Reading], freeform: Sequence[Reading], answered: bool
) -> TextTable:
    """Values read from replies of teachers that (do not) answer, one row per arrangement.

    ``anchored`` and ``freeform`` hold the same arrangements in the same order.
    """
    header = (
        "reply",
        *("anchored: teacher's", "left empty", "record's"),
        *("free-form: teacher's", "left empty", "record's"),
    )
    rows = [
        (
            first.arrangement,
            *(count(n) for one in (first, second) for n in (one.own, one.empty, one.foreign)),
        )
        for first, second in zip(anchored, freeform, strict=True)
        if first.answered == answered
    ]
    return TextTable(caption, header, rows)


def effect_table(caption: str, effects: Sequence[Effect]) -> TextTable:
    """What the attacks did to the scores, one row per kind and language."""
    header = (
        "kind",
        "language",
        "n",
        "attack − control, 95 % interval",
        f"lifted by > {LIFTED_POINTS:g}",
        "unreadable",
        "control unreadable",
    )
    rows = [
        (
            effect.kind,
            LANGUAGE_NAMES[effect.language],
            count(effect.compared),
            _signed(effect),
            percent(effect.lifted / effect.compared) if effect.compared else ABSENT,
            percent(effect.attacks_unreadable / effect.attacks),
            percent(effect.controls_unreadable / effect.attacks),
        )
        for effect in effects
    ]
    return TextTable(caption, header, rows, left=2)


def to_markdown(table: TextTable) -> str:
    """The table as GitHub-flavoured Markdown under its caption."""
    rules = ["---" if i < table.left else "--:" for i in range(len(table.header))]
    rows = [markdown_row(row) for row in (table.header, rules, *table.rows)]
    return "\n".join([f"**{table.caption}**", "", *rows])


def to_plain(table: TextTable) -> str:
    """The table in aligned columns under its caption."""
    rows = [table.header, *table.rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(table.header))]
    lines = [table.caption]
    for row in rows:
        cells = [
            cell.ljust(width) if i < table.left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(f"  {'  '.join(cells)}".rstrip())
    return "\n".join(lines)


def _signed(effect: Effect) -> str:
    value, low, high = (round(end, 2) + 0.0 for end in effect.difference)
    sign = "+" if value > 0 else ""
    return f"{sign}{decimal(value)} {interval(low, high)}".strip()
