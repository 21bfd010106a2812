"""The audit as JSON for machines and Markdown for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from mira.audit.findings import KINDS, VERDICTS, Finding, count_verdicts
from mira.io import write_json, write_text
from mira.tables.write import markdown_row

MARKS = {"disagrees": "**disagrees**"}


def write_audit(
    findings: Sequence[Finding], folder: str | Path, stand_in: str | None = None
) -> None:
    """Write ``audit.json`` (counts, findings) and ``audit.md`` into ``folder``."""
    folder = Path(folder)
    content = {
        "stand_in": stand_in,
        "counts": count_verdicts(findings),
        "findings": [asdict(finding) for finding in findings],
    }
    write_json(content, folder / "audit.json")
    write_text(audit_markdown(findings, stand_in), folder / "audit.md")


def audit_markdown(findings: Sequence[Finding], stand_in: str | None = None) -> str:
    """The audit as a page: counts, what disagrees, then every finding by kind of check."""
    lines = ["# Audit", "", *_counts(findings), ""]
    if stand_in:
        lines += [f"*{stand_in}*", ""]
    disagreeing = [finding for finding in findings if finding.verdict == "disagrees"]
    if disagreeing:
        lines += ["## What disagrees", ""]
        lines += [
            f"- **{f.claim}** Expected {f.expected}, found {f.found}. {_sentence(f.evidence)} "
            f"({f.place}; `{f.id}`)"
            for f in disagreeing
        ]
        lines.append("")
    for kind in KINDS:
        rows = [finding for finding in findings if finding.kind == kind]
        if rows:
            lines += [f"## {kind.capitalize()}", "", *_rows(rows), ""]
    return "\n".join(lines)


def _counts(findings: Sequence[Finding]) -> list[str]:
    total = count_verdicts(findings)
    lines = [markdown_row(["checks", *VERDICTS]), markdown_row(["---"] + ["--:"] * len(VERDICTS))]
    for kind in KINDS:
        counts = count_verdicts(finding for finding in findings if finding.kind == kind)
        lines.append(markdown_row([kind, *map(str, counts.values())]))
    lines.append(markdown_row(["**all**", *(f"**{count}**" for count in total.values())]))
    return lines


def _rows(findings: Sequence[Finding]) -> list[str]:
    header = ["claim", "expected", "found", "verdict", "evidence", "place"]
    lines = [markdown_row(header), markdown_row(["---"] * len(header))]
    for f in findings:
        verdict = MARKS.get(f.verdict, f.verdict)
        lines.append(markdown_row([f.claim, f.expected, f.found, verdict, f.evidence, f.place]))
    return lines


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
