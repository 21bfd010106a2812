"""A run against its own files, and against what is published."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pandas as pd

from mira.audit.claims import Claim, Claims
from mira.audit.evidence import Evidence, measure
from mira.audit.findings import Finding, Verdict
from mira.audit.published import show
from mira.selection import ids_checksum, tie_key


def check_itself(evidence: Evidence) -> list[Finding]:
    """Recompute from the run's files what its files say."""
    findings = [*_flow(evidence), *_anchor_sizes(evidence)]
    for method, frame in evidence.selections.items():
        findings += _selection(method, frame, evidence)
    if not evidence.selections:
        findings.append(_not_run("selection", "Selections match their certificates."))
    return findings


def check_against_published(claims: Claims, evidence: Evidence) -> list[Finding]:
    """Hold what the run measures against the published value, where both exist.

    A claim without a published value is "not published", whatever the run found; a run that is
    not the paper's is "not comparable".
    """
    return [
        _against(claims, claim, evidence)
        for claim in claims.by_id.values()
        if claim.measure is not None or claim.value is None
    ]


def _against(claims: Claims, claim: Claim, evidence: Evidence) -> Finding:
    row = claim.id.split(".")[1]
    value = measure(claim.measure, evidence, row) if claim.measure else None
    found = None if value is None else _rounded(value, claim.decimals)
    verdict: Verdict
    if claim.value is None:
        verdict = "not published"
    elif found is None:
        verdict = "not run"
    elif not evidence.comparable:
        verdict = "not comparable"
    else:
        verdict = "agrees" if found == claim.value else "disagrees"
    published = claim.value
    place = claims.places[claim.place]
    return Finding(
        id=f"run.{claim.id}",
        kind="run against published",
        claim=claim.title,
        expected="–" if published is None else f"{show(published, claim.decimals)} {claim.unit}",
        found="–" if found is None else f"{show(found, claim.decimals)} {claim.unit}",
        verdict=verdict,
        evidence=claim.note,
        place=f"{place.title} [{place.grade}]",
    )


def _rounded(value: float, decimals: int) -> Decimal:
    return Decimal(str(value)).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)


def _flow(evidence: Evidence) -> Iterator[Finding]:
    """No record is lost between two stages."""
    claim = "Every row read is kept or rejected with a reason."
    if evidence.corpus is None or evidence.rejected_rows is None or evidence.input_rows is None:
        yield _not_run("sampling.rows", claim)
    else:
        kept, rejected = len(evidence.corpus), evidence.rejected_rows
        text = f"{kept:,} kept + {rejected:,} rejected"
        yield _equal("sampling.rows", claim, evidence.input_rows, kept + rejected, text)
    claim = "Every record sampled for labelling is labelled or rejected with a reason."
    if evidence.sampled is None or evidence.labels is None or evidence.unlabelled is None:
        yield _not_run("labelling.rows", claim)
    else:
        labelled, rejected = len(evidence.labels), len(evidence.unlabelled)
        text = f"{labelled:,} labelled + {rejected:,} rejected"
        yield _equal("labelling.rows", claim, len(evidence.sampled), labelled + rejected, text)


def _anchor_sizes(evidence: Evidence) -> Iterator[Finding]:
    for group, anchors in evidence.anchors.items():
        if group in evidence.points:
            total = sum(int(anchor["cluster_size"]) for anchor in anchors)
            claim = f"The cluster sizes of {group} add up to its judgment points."
            text = f"sum of {len(anchors)} cluster sizes = {total:,}"
            yield _equal(f"anchoring.{group}.sizes", claim, evidence.points[group], total, text)


def _selection(method: str, frame: pd.DataFrame, evidence: Evidence) -> Iterator[Finding]:
    """The certificate of one method, recomputed from its records."""
    name = f"selection.{method}"
    certificate = evidence.certificates.get(method)
    if certificate is None:
        yield _not_run(name, f"{method} matches its certificate.")
        return
    chosen = frame[frame["selected"].astype(bool)]
    tokens, budget = int(chosen["n_tokens"].sum()), int(certificate["budget_tokens"])
    yield _finding(
        f"{name}.budget",
        f"{method} stays within its budget.",
        f"≤ {budget:,} tokens",
        f"{tokens:,} tokens",
        tokens <= budget,
        f"{tokens / budget:.2%} of the budget is used",
    )
    for key, found in (("selected_tokens", tokens), ("selected_records", len(chosen))):
        claim = f"{method}: {key.replace('_', ' ')} of the certificate are those of the file."
        yield _equal(f"{name}.{key}", claim, int(certificate[key]), found, "recounted")
    checksum = ids_checksum(chosen["id"])
    yield _finding(
        f"{name}.checksum",
        f"{method}: the certificate's checksum is that of the selected ids.",
        str(certificate["checksum"])[:16],
        checksum[:16],
        checksum == certificate["checksum"],
        "SHA-256 over the sorted ids, first 16 digits",
    )
    wrong = int((selected_by_rule(frame, certificate) != frame["selected"]).sum())
    claim = f"{method}: the certificate's cuts select exactly the selected records."
    yield _equal(f"{name}.rule", claim, 0, wrong, "records that the cuts would decide otherwise")
    if evidence.corpus is not None:
        missing = len(set(evidence.corpus["id"]) ^ set(frame["id"]))
        claim = f"{method} decides about every record of the corpus, and no other."
        yield _equal(f"{name}.records", claim, 0, missing, "records in one of the two only")


def selected_by_rule(frame: pd.DataFrame, certificate: dict[str, Any]) -> pd.Series:
    """The selection that a certificate's cut scores and tie keys define, in row order."""
    buckets = {bucket["bucket"]: bucket for bucket in certificate["buckets"]}
    if not buckets:  # the raw mixture has no cut
        return pd.Series(True, index=frame.index)
    per = certificate["per"]
    # Without a column to divide by, the whole corpus is the one bucket.
    names = frame[per] if per in frame.columns else pd.Series(next(iter(buckets)), frame.index)
    cuts = {name: bucket["cut_score"] for name, bucket in buckets.items()}
    cut = names.map(cuts).astype(float)
    chosen = frame["score"] > cut
    for row in frame.index[frame["score"] == cut]:
        last = buckets[names[row]]["tie_key"]
        key = tie_key(certificate["seed"], str(frame.at[row, "id"]))
        chosen[row] = last is None or key <= int(last, 16)
    return chosen


def _equal(name: str, claim: str, expected: int, found: int, evidence: str) -> Finding:
    return _finding(name, claim, f"{expected:,}", f"{found:,}", expected == found, evidence)


def _finding(
    name: str, claim: str, expected: str, found: str, agrees: bool, evidence: str
) -> Finding:
    return Finding(
        id=name,
        kind="run against itself",
        claim=claim,
        expected=expected,
        found=found,
        verdict="agrees" if agrees else "disagrees",
        evidence=evidence,
        place="this run",
    )


def _not_run(name: str, claim: str) -> Finding:
    return Finding(name, "run against itself", claim, "–", "–", "not run", "", "this run")
