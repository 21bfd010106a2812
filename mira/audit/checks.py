"""All checks of the audit, in the order in which they are read."""

from __future__ import annotations

from mira.audit.claims import Claims
from mira.audit.evidence import Evidence
from mira.audit.findings import KINDS, Finding
from mira.audit.published import check_published
from mira.audit.run import check_against_published, check_itself


def run_audit(claims: Claims, evidence: Evidence) -> list[Finding]:
    """Published against published, words against the table, the run against itself and theirs."""
    findings = [
        *check_published(claims),
        *check_itself(evidence),
        *check_against_published(claims, evidence),
    ]
    return sorted(findings, key=lambda finding: KINDS.index(finding.kind))
