"""``python -m mira labelling injection``: the suite against the config's own teacher."""

from __future__ import annotations

import asyncio
from pathlib import Path

from mira.config import Config, load_config
from mira.injection.echoes import broken_fences, read_anchored, read_freeform
from mira.injection.measure import Comparison, compare_scores, summarise
from mira.injection.suite import Attack, load_suite
from mira.injection.tables import TextTable, effect_table, reading_table, to_markdown, to_plain
from mira.io import write_text
from mira.labelling import Labelled
from mira.teacher.running import open_journal, running_teacher

EMBEDDED_NOTE = (
    "This teacher is a rule-based program that measures text and cannot obey it: its figures show "
    "only what the attacks' text does to text statistics. Run the command with the config of your "
    "own teacher to learn whether that one can be told what to answer."
)
ENDPOINT_NOTE = (
    "The figures hold for this model, its settings and these attacks; others may do worse."
)


def measure_injection(configfile: str | Path, out: str | Path | None = None) -> str:
    """Tables of what the suite does to prompts, parser and the teacher's scores, as plain text.

    Asks the config's teacher about 192 records (96 attacks and their controls), through its
    journal and under the cap of its run: asking a second time costs nothing. ``out`` gets the same
    as Markdown. Raises UserError as ``load_config`` and ``compare_scores`` do.
    """
    config = load_config(configfile)
    attacks = load_suite()
    comparisons, labelled = _ask(config, attacks)
    effects = summarise(comparisons, config.seed)
    opening = _fence_line(attacks)
    tables = [
        *parser_tables(attacks),
        effect_table(f"Scores of {_teacher_name(config)}, points of 10", effects),
    ]
    closing = [_calls_line(labelled), EMBEDDED_NOTE if _embedded(config) else ENDPOINT_NOTE]
    if out is not None:
        write_text("\n\n".join([opening, *map(to_markdown, tables), *closing]) + "\n", out)
    return "\n\n".join([opening, *map(to_plain, tables), *closing])


def parser_tables(attacks: list[Attack]) -> list[TextTable]:
    """What the parser makes of replies that quote the attacks; needs no teacher."""
    anchored, freeform = read_anchored(attacks), read_freeform(attacks)
    told = "values read by the parser"
    return [
        reading_table(f"Replies that answer and quote: {told}", anchored, freeform, True),
        reading_table(f"Replies that only quote: {told}", anchored, freeform, False),
    ]


def _ask(config: Config, attacks: list[Attack]) -> tuple[list[Comparison], Labelled]:
    teacher = config.teacher
    log_path = Path("logs") / config.run / "injection.log"
    with running_teacher(teacher, config.run, config.seed, log_path) as settings:
        journal = open_journal(teacher, config.run)
        return asyncio.run(
            compare_scores(
                attacks,
                settings,
                journal,
                max_chars=teacher.max_chars,
            )
        )


def _fence_line(attacks: list[Attack]) -> str:
    broken = broken_fences(attacks)
    if broken:
        return f"Fences: broken by {len(broken)} of {len(attacks)}: {', '.join(broken)}."
    return f"Fences: none of the {len(attacks)} records closes its own, in neither prompt."


def _teacher_name(config: Config) -> str:
    if _embedded(config):
        return "the embedded teacher (rule-based)"
    return f"{config.teacher.model} at {', '.join(config.teacher.base_urls)}"


def _embedded(config: Config) -> bool:
    return config.teacher.kind == "embedded"


def _calls_line(labelled: Labelled) -> str:
    bill = labelled.cost
    return (
        f"{bill['records']} records, {bill['calls']} replies, {bill['paid_calls']} of them paid "
        f"for by this measurement; {bill['rejected']} records without scores."
    )
