"""Published numbers against each other, and claims in words against the numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from typing import Any

from mira.audit.claims import (
    AnyCheck,
    Claim,
    Claims,
    CompareCheck,
    DistinctNamesCheck,
    DivisibleCheck,
    MeanCheck,
    MultipleCheck,
    RankingCheck,
)
from mira.audit.findings import Finding, Verdict

RELATIONS: dict[str, tuple[str, Callable[[Decimal, Decimal], bool]]] = {
    "equal": ("=", lambda a, b: a == b),
    "at_most": ("≤", lambda a, b: a <= b),
    "at_least": ("≥", lambda a, b: a >= b),
    "above": (">", lambda a, b: a > b),
}
Corrections = Mapping[str, Decimal]


@dataclass(frozen=True)
class Mean:
    """A published mean recomputed from its published terms."""

    published: Claim
    terms: list[Claim]
    exact: Decimal
    half_up: Decimal
    half_even: Decimal

    @property
    def agrees(self) -> bool:
        """Whether the published value follows from its terms.

        The terms are rounded themselves, so the mean before rounding lies within half a unit of
        the last place of the exact one; the published value within half a unit of that.
        """
        unit = Decimal(1).scaleb(-self.published.decimals)
        slack = (unit + Decimal(1).scaleb(-self.terms[0].decimals)) / 2
        return abs(_value(self.published) - self.exact) <= slack

    @property
    def rounding(self) -> str:
        """Which of the two roundings gives the published value."""
        value = _value(self.published)
        if value == self.half_up == self.half_even:
            return "both give it"
        if value == self.half_up:
            return "only half-up gives it"
        if value == self.half_even:
            return "only half-even gives it"
        return "within the rounding of its terms" if self.agrees else "neither gives it"


def check_published(claims: Claims) -> list[Finding]:
    """Apply every check of the file; a row is found wrong by computing, never by its name."""
    corrections = {
        mean.published.id: mean.half_up
        for check in claims.checks
        if isinstance(check, MeanCheck)
        for mean in recompute_means(claims, check).values()
        if not mean.agrees
    }
    return [finding for check in claims.checks for finding in _apply(claims, check, corrections)]


def recompute_means(claims: Claims, check: MeanCheck) -> dict[str | None, Mean]:
    """The check's means by row, where all numbers are published."""
    means = {}
    for row in claims.rows_of(check):
        terms = claims.matching(_fill(check.of, row))
        published = claims.by_id[_fill([check.equals], row)[0]]
        if published.value is None or any(term.value is None for term in terms):
            continue
        exact = sum(map(_value, terms), Decimal()) / len(terms)
        unit = Decimal(1).scaleb(-published.decimals)
        up, even = (exact.quantize(unit, rule) for rule in (ROUND_HALF_UP, ROUND_HALF_EVEN))
        means[row] = Mean(published, terms, exact, up, even)
    return means


def show(value: Decimal, decimals: int) -> str:
    """A number as it would be printed: thousands separated, fixed decimals."""
    return f"{value:,.{decimals}f}"


def _apply(claims: Claims, check: AnyCheck, corrections: Corrections) -> list[Finding]:
    match check:
        case MeanCheck():
            return _means(claims, check)
        case MultipleCheck():
            return _multiples(claims, check)
        case DivisibleCheck():
            return [_divisible(claims, check)]
        case CompareCheck():
            return [_compare(claims, check)]
        case RankingCheck():
            return [
                _ranking(claims, check, subject, corrections)
                for subject in claims.matching(check.subjects)
            ]
        case DistinctNamesCheck():
            return [_distinct_names(claims, check)]


def _means(claims: Claims, check: MeanCheck) -> list[Finding]:
    findings = []
    for row, mean in recompute_means(claims, check).items():
        decimals = mean.published.decimals
        terms = ", ".join(show(_value(term), term.decimals) for term in mean.terms)
        difference = _value(mean.published) - mean.exact
        evidence = f"mean of {terms} = {mean.exact}; half-up {mean.half_up}, half-even "
        evidence += f"{mean.half_even}: {mean.rounding}"
        if not mean.agrees:
            evidence += f"; off by {difference:+}"
        findings.append(
            _finding(
                claims,
                check,
                row,
                expected=show(mean.half_up, decimals),
                found=show(_value(mean.published), decimals),
                verdict=_verdict(mean.agrees),
                evidence=evidence,
            )
        )
    return findings


def _multiples(claims: Claims, check: MultipleCheck) -> list[Finding]:
    findings = []
    for row in claims.rows_of(check):
        for claim in claims.matching(_fill(check.of, row)):
            if claim.value is None:
                continue
            value, unit = claim.value, Decimal(1).scaleb(-claim.decimals)
            count = (value * check.parts / 100).quantize(Decimal(1), ROUND_HALF_EVEN)
            nearest = count * 100 / check.parts
            agrees = abs(nearest - value) <= unit / 2
            findings.append(
                _finding(
                    claims,
                    check,
                    row,
                    expected=f"{count}/{check.parts} = {show(nearest, claim.decimals)}",
                    found=show(value, claim.decimals),
                    verdict=_verdict(agrees),
                    evidence=f"the nearest whole number of tasks is {count} of {check.parts}",
                )
            )
    return findings


def _divisible(claims: Claims, check: DivisibleCheck) -> Finding:
    terms = claims.matching(check.of)
    total = _total(terms)
    quotient, remainder = divmod(total, check.by)
    near = quotient + (1 if remainder * 2 > check.by else 0)
    away = total - near * check.by
    return _finding(
        claims,
        check,
        None,
        expected=f"a multiple of {check.by}, such as {show(near * check.by, 0)}",
        found=show(total, 0),
        verdict=_verdict(remainder == 0),
        evidence=f"sum of {len(terms)} values = {show(total, 0)} = {check.by} × {show(near, 0)}"
        + (f" {'+' if away > 0 else '−'} {abs(away)}" if away else ""),
    )


def _compare(claims: Claims, check: CompareCheck) -> Finding:
    left, right = claims.matching(check.left), claims.matching(check.right)
    symbol, holds = RELATIONS[check.relation]
    found, bound = _total(left), _total(right) * check.times
    decimals = max(claim.decimals for claim in left + right)
    times = f"{check.times} × " if check.times > 1 else ""
    return _finding(
        claims,
        check,
        None,
        expected=f"{symbol} {show(bound, decimals)}",
        found=show(found, decimals),
        verdict=_verdict(holds(found, bound)),
        evidence=f"{_sum_text(left)}; expected {symbol} {times}{_sum_text(right)}",
    )


def _ranking(
    claims: Claims, check: RankingCheck, subject: Claim, corrections: Corrections
) -> Finding:
    """Judged by the printed numbers; says so where recomputed ones would judge otherwise."""
    symbol, holds = RELATIONS[check.relation]
    rivals = claims.matching(check.rivals)
    printed = {claim.id: _value(claim) for claim in [subject, *rivals]}
    recomputed = {name: corrections.get(name, value) for name, value in printed.items()}
    text, beaten = [], {}
    for label, values in (("as printed", printed), ("recomputed", recomputed)):
        ahead = [r for r in rivals if not holds(values[subject.id], values[r.id])]
        beaten[label] = [rival.id for rival in ahead]
        names = ", ".join(f"{r.title} ({show(values[r.id], r.decimals)})" for r in ahead)
        if label == "as printed" or beaten[label] != beaten["as printed"]:
            text.append(f"{label}: " + (f"not {symbol} {names}" if ahead else "holds for all"))
    best = max(rivals, key=lambda rival: printed[rival.id])
    return _finding(
        claims,
        check,
        subject.id.split(".")[-2] if subject.id.count(".") > 1 else subject.id,
        expected=f"{symbol} {show(printed[best.id], best.decimals)} ({best.title})",
        found=show(printed[subject.id], subject.decimals),
        verdict=_verdict(not beaten["as printed"]),
        evidence="; ".join(text),
        subject=subject.title,
    )


def _distinct_names(claims: Claims, check: DistinctNamesCheck) -> Finding:
    slots: dict[str, list[str]] = {}
    titles: dict[str, str] = {}
    for row_id, row in claims.tables[check.table].rows.items():
        slots.setdefault(row.title.casefold(), []).append(row_id)
        titles.setdefault(row.title.casefold(), row.title)
    repeated = [f"{titles[name]} ({', '.join(at)})" for name, at in slots.items() if len(at) > 1]
    total = sum(map(len, slots.values()))
    return _finding(
        claims,
        check,
        None,
        expected=f"{total} distinct names",
        found=f"{len(slots)} distinct names",
        verdict=_verdict(not repeated),
        evidence="repeated: " + "; ".join(repeated) if repeated else "no name occurs twice",
    )


def _finding(
    claims: Claims, check: AnyCheck, row: str | None, subject: str = "", **parts: Any
) -> Finding:
    table = getattr(check, "each_row_of", None)
    title = claims.tables[table].rows[row].title if table and row else ""
    place = claims.places[check.place]
    evidence = parts.pop("evidence") + (f". {check.note}" if check.note else "")
    words = isinstance(check, RankingCheck)
    return Finding(
        id=f"{check.id}.{row}" if row else check.id,
        kind="words against the table" if words else "published against published",
        claim=check.claim.replace("{row}", title).replace("{subject}", subject),
        evidence=evidence,
        place=f"{place.title} [{place.grade}]",
        **parts,
    )


def _fill(patterns: list[str], row: str | None) -> list[str]:
    return [pattern.replace("{row}", row or "") for pattern in patterns]


def _value(claim: Claim) -> Decimal:
    if claim.value is None:
        raise ValueError(f"claim '{claim.id}' has no published value to compute with")
    return claim.value


def _total(claims: list[Claim]) -> Decimal:
    return sum(map(_value, claims), Decimal())


def _sum_text(claims: list[Claim]) -> str:
    text = " + ".join(show(_value(claim), claim.decimals) for claim in claims)
    return f"{text} = {show(_total(claims), claims[0].decimals)}" if len(claims) > 1 else text


def _verdict(agrees: bool) -> Verdict:
    return "agrees" if agrees else "disagrees"
