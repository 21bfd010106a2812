"""The judge: from a judging request to the reply, the same reply for the same request.

A language model's scores lean on its overall impression (halo) and vary a little; both are
imitated and both are settings. See docs/embedded-teacher.md.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import orjson

from mira.records import Family
from mira.seeds import derive_rng, stable_hash
from mira.teacher.embedded import lexicon
from mira.teacher.embedded.facet import Facet, Finding, quote
from mira.teacher.embedded.registry import FACETS, find_facet
from mira.teacher.embedded.request import JudgingRequest, Slot
from mira.teacher.embedded.turns import Document

VERSION = "1"
FLAW_SHARE = 0.5
WORST_FLAWS = 3
KEEP_FROM, DOWNSAMPLE_FROM = 60, 45
ANCHORED_REASON_WORDS = 10


@dataclass(frozen=True)
class JudgeSettings:
    """Root seed, standard deviation of the noise and share of the halo."""

    seed: int = 0
    noise: float = 0.35
    halo: float = 0.6


@dataclass(frozen=True)
class Impression:
    """What the judge found in one record: findings by facet key and the overall level (0..10)."""

    document: Document
    findings: Mapping[str, Finding]
    overall: float


def examine(text: str, family: Family) -> Impression:
    """Apply every facet to a record."""
    document = Document(text, family)
    findings = {facet.key: found for facet in FACETS if (found := facet.find(document))}
    return Impression(document, findings, overall_level(findings))


def overall_level(findings: Mapping[str, Finding]) -> float:
    """Weighted mean of the findings, less half the mean shortfall of the worst flaws (0..10).

    A flaw's shortfall is how far it falls below its typical score.
    """
    present = [facet for facet in FACETS if facet.key in findings]
    total = sum(facet.weight for facet in present)
    mean = sum(facet.weight * findings[facet.key].score for facet in present) / total
    shortfalls = [max(0.0, f.typical - findings[f.key].score) for f in present if f.flaw]
    worst = sum(sorted(shortfalls, reverse=True)[:WORST_FLAWS]) / WORST_FLAWS
    return max(0.0, mean - FLAW_SHARE * worst)


def reply(request: JudgingRequest, settings: JudgeSettings, request_seed: int | None = None) -> str:
    """The teacher's answer: a filled template, or a JSON object of judgment points."""
    impression = examine(request.text, request.family)
    voice = _Voice(impression, settings, request_seed)
    if request.slots:
        return _anchored(request, voice)
    return _freeform(request.n_points, voice)


class _Voice:
    """Scores with halo and noise for one record under one seed."""

    def __init__(self, seen: Impression, settings: JudgeSettings, request_seed: int | None) -> None:
        self.seen = seen
        self._settings = settings
        self._names = ("teacher", stable_hash(seen.document.text), request_seed)

    def rng(self, purpose: str) -> np.random.Generator:
        return derive_rng(self._settings.seed, *self._names, purpose)

    def score(self, facet: Facet | None, purpose: str) -> int:
        """Whole score 0..10 of a facet, or of the overall impression where there is none."""
        halo, overall = self._settings.halo, self.seen.overall
        found = self.seen.findings.get(facet.key) if facet else None
        level = overall if found is None else (1 - halo) * found.score + halo * overall
        return round(min(10.0, max(0.0, level + self._noise(purpose))))

    def overall(self) -> int:
        """Whole overall score 0..100."""
        level = self.seen.overall + self._noise("overall")
        return round(min(100.0, max(0.0, 10 * level)))

    def _noise(self, purpose: str) -> float:
        return float(self.rng(purpose).normal(0.0, self._settings.noise))


def _anchored(request: JudgingRequest, voice: _Voice) -> str:
    lines = [_slot_line(slot, request.family, voice) for slot in request.slots]
    if request.with_summary:
        overall = voice.overall()
        tag = domain_tag(voice.seen.document)
        lines += [
            f"overall: {overall}",
            f"training_recommendation: {recommendation(overall)}",
            f"domain_tag: {tag}",
            f"brief: {brief(voice.seen, tag)}",
        ]
    return "\n".join(lines)


def _slot_line(slot: Slot, family: Family, voice: _Voice) -> str:
    facet = find_facet(slot.name, slot.definition, family)
    score = voice.score(facet, facet.key if facet else slot.name.casefold())
    if not slot.with_name:
        return f"[{slot.slot}] {score}"
    line = f"[{slot.slot}] {slot.name}: {score}/10"
    if not slot.with_reason:
        return line
    found = voice.seen.findings.get(facet.key) if facet else None
    evidence = found.evidence if found else "does not apply here; judged by overall impression"
    return f"{line} — {' '.join(evidence.split()[:ANCHORED_REASON_WORDS])}"


def _freeform(n_points: int, voice: _Voice) -> str:
    points = []
    for facet in salient(voice.seen, n_points, voice.rng("salience")):
        score = voice.score(facet, facet.key)
        found = voice.seen.findings.get(facet.key)
        seen = found.evidence if found else "hardly applies, judged by overall impression"
        reason = f"{facet.phrase(score)}: {seen}."
        name = _pick_name(facet, voice.rng(f"name of {facet.key}"))
        points.append({"dimension": name, "score": score, "reason": reason})
    return orjson.dumps({"points": points}).decode()


def salient(seen: Impression, count: int, rng: np.random.Generator) -> list[Facet]:
    """The facets to name for a record: far from typical, weighty, with some chance."""
    family = seen.document.family
    applicable = [facet for facet in FACETS if facet.key in seen.findings]
    chance = dict(zip(applicable, rng.gumbel(0.0, 1.0, len(applicable)), strict=True))

    def salience(facet: Facet) -> float:
        distance = abs(seen.findings[facet.key].score - facet.typical)
        return float(distance * facet.weight**0.5 + 1.5 * facet.weight + chance[facet])

    chosen = sorted(applicable, key=salience, reverse=True)[:count]
    rest = [f for f in FACETS if family in f.families and f.key not in seen.findings]
    return chosen + rest[: count - len(chosen)]


def _pick_name(facet: Facet, rng: np.random.Generator) -> str:
    """One of a facet's names, the first ones more often."""
    weights = 1.0 / np.arange(1, len(facet.names) + 1)
    return facet.names[int(rng.choice(len(facet.names), p=weights / weights.sum()))]


def recommendation(overall: int) -> str:
    """What to do with a record of this overall score (0..100)."""
    if overall >= KEEP_FROM:
        return "keep"
    return "downsample" if overall >= DOWNSAMPLE_FROM else "drop"


def domain_tag(document: Document) -> str:
    """A short tag: the kind of record, told from its text."""
    if document.family == "agent":
        names = " ".join(
            {call.name for call in document.calls} | {c.raw[:80] for c in document.calls}
        )
        if re.search(r"\b(?:sql|select|query)", names, re.IGNORECASE):
            return "agent-sql"
        if re.search(r"\b(?:bash|shell|terminal|cmd|ls|cat)\b", names, re.IGNORECASE):
            return "agent-shell"
        return "agent-tools" if document.calls else "agent-dialogue"
    if document.kind != "prose":
        return {"python": "python-code", "html": "web-page", "json": "json-data"}[document.kind]
    if lexicon.CJK.search(document.body[:400]):
        return "chinese-text"
    if len(re.findall(r"\d\s*[-+*/=×÷]\s*\d", document.body)) >= 3:
        return "mathematics"
    subject = "code" if document.code or document.code_blocks else "general"
    return f"{subject}-qa" if document.family == "qa" else f"{subject}-text"


def brief(seen: Impression, tag: str) -> str:
    """One sentence: what the record is about, its best and its worst side."""
    ranked = sorted(
        (f for f in FACETS if f.key in seen.findings and f.weight >= 1),
        key=lambda facet: seen.findings[facet.key].score,
    )
    counts = Counter(word for word in seen.document.words if _telling(word))
    topic = " and ".join(word for word, _ in counts.most_common(2)) or "little"
    worst, best = ranked[0], ranked[-1]
    good = best.phrase(seen.findings[best.key].score).lower()
    bad = worst.phrase(seen.findings[worst.key].score).lower()
    return f"On {quote(topic, 40)} ({tag}): {good}, yet {bad}."


def _telling(word: str) -> bool:
    return len(word) > 3 and word.isalpha() and word not in lexicon.STOPWORDS
