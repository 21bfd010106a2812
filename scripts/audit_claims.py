"""Adapter of rule audit_claims."""

import logging
from pathlib import Path

from mira.audit.checks import run_audit
from mira.audit.claims import load_claims
from mira.audit.evidence import gather_evidence
from mira.audit.findings import count_verdicts
from mira.audit.write import write_audit
from mira.logs import logged


def main() -> None:
    evidence = gather_evidence(snakemake.params.results, comparable=snakemake.params.comparable)
    findings = run_audit(load_claims(snakemake.input.claims), evidence)
    for verdict, count in count_verdicts(findings).items():
        logging.info("%s: %d", verdict, count)
    write_audit(findings, Path(snakemake.output.json).parent, snakemake.params.stand_in)


with logged(snakemake.log[0]):
    main()
