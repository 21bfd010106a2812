"""Facets of content: what a reader gets out of the text, in all families (all ours)."""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from itertools import pairwise

from mira.teacher.embedded import lexicon
from mira.teacher.embedded.facet import Finding, curve, facet, quote, share
from mira.teacher.embedded.turns import Document

_NUMBERED = re.compile(r"^[ ]{0,8}(?:#+ |Step )?(\d{1,2})[.)] ", re.MULTILINE)
_CITATION = re.compile(
    r"https?://|\[\d+\]|#\d{2,}|see also|according to"
    r"|(?:rfc|pep|line|version|theorem|lemma|figure|table|section|chapter) ?\d"
)
_CHECKABLE = re.compile(r">>> |\bassert\b|\d\s*[-+*/×÷]\s*\d+(?:\.\d+)?\s*=|^\$ ", re.MULTILINE)
_MATH = re.compile(r"\\[a-z]{2,}|\$[^$\n]+\$|[∑∫√≤≥∈∀∃→]|\b\w\^\w")


@facet(
    "Specificity",
    "Concreteness",
    "Level of Detail",
    "Precision of Detail",
    "Factual Specificity",
    measures="Numbers, names and code references per hundred words",
    phrases=("Vague and general", "Partly specific", "Concrete and specific"),
    typical=7.0,
    weight=0.8,
)
def specificity(doc: Document) -> Finding | None:
    """Things that can be pointed at."""
    count = len(doc.words)
    if count < 5:
        return None
    numbers = len(lexicon.NUMBER.findall(doc.window))
    references = len(doc.references)
    names = len(re.findall(r"(?<=[a-z,] )[A-Z][a-z]{2,}", doc.window))
    rate = 100 * (numbers + references + names) / count
    score = curve(rate, (0, 0.5), (3, 3), (8, 5.5), (16, 7.5), (35, 10))
    return Finding(score, f"{numbers} numbers, {references} code references, {names} names")


@facet(
    "Example Presence",
    "Use of Examples",
    "Illustrative Examples",
    "Concrete Examples",
    measures="Examples announced or shown: code blocks, sessions, phrases that introduce one",
    phrases=("No examples", "An example or two", "Well illustrated"),
    weight=0.4,
    typical=3.0,
)
def examples(doc: Document) -> Finding | None:
    """Shown examples count double."""
    told = len(lexicon.EXAMPLE.find(doc.window))
    shown = len(doc.code_blocks) + len(re.findall(r"^\s*>>> ", doc.body, re.MULTILINE))
    rate = 1000 * (told + 2 * shown) / max(600, len(doc.body))
    score = curve(rate, (0, 1), (0.5, 3.5), (1.5, 5.5), (4, 8), (10, 10))
    return Finding(score, f"{told} mentions of examples, {shown} shown")


@facet(
    "Educational Value",
    "Pedagogical Value",
    "Teaching Quality",
    "Learning Value",
    measures="Explaining phrases, examples and plain prose beside the technical terms",
    phrases=("Teaches little", "Teaches something", "Teaches well"),
    weight=0.8,
    typical=3.5,
)
def educational(doc: Document) -> Finding | None:
    """A blend of explaining, showing and telling why."""
    length = max(500, len(doc.window)) / 1000
    teaching = len(lexicon.TEACHING.find(doc.window))
    why = len(doc.reasons)
    shown = len(doc.code_blocks) + doc.window.count(">>> ") / 2
    prose = share(len(doc.prose), len(doc.window))
    score = curve((teaching + 0.6 * why + shown) / length, (0, 1), (1, 4), (3, 7), (7, 9))
    score += curve(prose, (0, -1), (0.3, 0), (0.8, 1))
    return Finding(score, f"{teaching} explaining phrases, {why} reasons, {shown:.0f} examples")


@facet(
    "Actionability",
    "Practical Applicability",
    "Practical Utility",
    "Usefulness in Practice",
    measures="Instructions, commands and code that a reader can carry out",
    phrases=("Nothing to act on", "Some guidance", "Ready to apply"),
    typical=4.5,
    weight=0.5,
)
def actionability(doc: Document) -> Finding | None:
    """Imperatives and runnable matter per thousand characters."""
    length = max(300, len(doc.window)) / 1000
    actions = len(lexicon.ACTION.findall(doc.window))
    runnable = len(doc.code_blocks) + len(doc.calls) + doc.window.count(">>> ") / 2
    runnable += 2 * (doc.kind == "python")
    score = curve((actions + 2 * runnable) / length, (0, 0.5), (1, 3), (3, 5.5), (7, 8), (14, 10))
    return Finding(score, f"{actions} instructions, {runnable:.0f} runnable pieces")


@facet(
    "Difficulty Level",
    "Technical Depth",
    "Challenge Level",
    "Conceptual Difficulty",
    measures="Long words, code references, mathematics and nesting",
    phrases=("Elementary", "Intermediate", "Demanding"),
    weight=0.3,
    typical=5.0,
)
def difficulty(doc: Document) -> Finding | None:
    """How much a reader must already know."""
    if len(doc.words) < 5:
        return None
    long_words = share(sum(len(word) >= 9 for word in doc.words), len(doc.words))
    technical = share(len(doc.references), len(doc.words))
    maths = share(len(_MATH.findall(doc.window)), len(doc.words))
    deep = share(sum(line.startswith(" " * 12) for line in doc.lines), len(doc.lines))
    load = long_words + 1.5 * technical + 2 * maths + 0.3 * deep
    score = curve(load, (0.02, 1), (0.1, 3.5), (0.22, 6), (0.4, 8), (0.8, 10))
    return Finding(score, f"{long_words:.0%} long words, {technical:.0%} code references")


@facet(
    "Information Density",
    "Content Density",
    "Conciseness",
    "Informativeness",
    measures="Compressed size and share of content terms",
    phrases=("Thin on information", "Moderately dense", "Dense with information"),
    typical=5.5,
    weight=0.8,
)
def density(doc: Document) -> Finding | None:
    """Bytes that do not compress away, by length of the text."""
    data = doc.window.encode("utf-8", "replace")
    if len(data) < 60:
        return None
    ratio = len(zlib.compress(data, 6)) / len(data)
    expected = 1.05 - 0.075 * math.log(len(data))
    excess = ratio - expected
    score = curve(excess, (-0.3, 0), (-0.15, 3), (-0.05, 5.5), (0.03, 8), (0.12, 10))
    return Finding(score, f"compresses to {ratio:.0%} where {expected:.0%} is usual")


@facet(
    "Explanatory Reasoning",
    "Reasoning Quality",
    "Depth of Explanation",
    "Causal Explanation",
    measures="Words that give a reason, a condition or a consequence, per hundred",
    phrases=("States without reasons", "Some reasons given", "Explains why throughout"),
    typical=2.5,
    weight=0.6,
)
def reasoning(doc: Document) -> Finding | None:
    """Connectives of reasoning."""
    if len(doc.words) < 15:
        return None
    found = doc.reasons
    rate = 100 * len(found) / len(doc.words)
    score = curve(rate, (0, 1), (0.3, 3), (0.8, 5.5), (1.6, 8), (3, 10))
    seen = f", such as {quote(found[0], 14)}" if found else ""
    return Finding(score, f"{len(found)} reasoning words{seen}")


@facet(
    "Verifiability",
    "Evidence & Sources",
    "Checkability",
    "Supporting Evidence",
    measures="Sources, references and statements that can be checked, per hundred words",
    phrases=("Nothing to check against", "Partly checkable", "Easy to verify"),
    typical=6.0,
    weight=0.6,
)
def verifiability(doc: Document) -> Finding | None:
    """Links, citations, sessions, equations, tool output."""
    if len(doc.words) < 5:
        return None
    sources = len(_CITATION.findall(doc.window.lower()))
    checks = len(_CHECKABLE.findall(doc.window)) + len(doc.replies)
    references = len(doc.references)
    rate = 100 * (2 * sources + 2 * checks + 0.3 * references) / max(40, len(doc.words))
    score = curve(rate, (0, 1), (1, 3.5), (3, 6), (7, 8), (15, 10))
    return Finding(score, f"{sources} sources, {checks} checkable steps, {references} references")


@facet(
    "Opening Clarity",
    "Context & Introduction",
    "Clear Introduction",
    "Scene Setting",
    measures="Whether the first lines say what this is: title, docstring, task or whole sentence",
    phrases=("Starts in the middle", "Starts without much context", "Opens clearly"),
    typical=8.0,
)
def opening(doc: Document) -> Finding | None:
    """The first line and whether the rest takes up its terms."""
    text = doc.body.lstrip()
    first = text.partition("\n")[0].strip()
    if not first:
        return None
    start = first.lstrip("#*\"'`<![(->{=/ r")
    score = (
        3.0
        if start[:1].islower() and not re.match(r"(?:import|from|def|class|html|diff)\b", start)
        else 5.5
    )
    if re.match(r"(?:#+ \S|\"\"\"|r\"\"\"|'''|<!doctype|<html|#!|# )", first, re.IGNORECASE):
        score += 1.5
    if text[:1].isspace() or doc.body[:1] in " \t":
        score -= 1
    head, whole = Counter(lexicon.terms(text[:200])), Counter(doc.terms)
    returning = sum(whole[term] > count for term, count in head.items())
    taken = share(returning, len(head)) if len(text) > 400 else 0.5
    score += curve(taken, (0, -1.5), (0.3, 1), (0.7, 3))
    return Finding(score, f"opens with {quote(first, 24)}; {taken:.0%} of its terms return")


@facet(
    "Substance",
    "Content Richness",
    "Comprehensiveness",
    "Coverage",
    "Amount of Content",
    measures="Number of distinct content terms",
    phrases=("Little content", "Moderate content", "Plenty of content"),
    weight=0.6,
    typical=6.0,
)
def substance(doc: Document) -> Finding | None:
    """Distinct terms on a logarithmic scale."""
    distinct = len(set(doc.terms))
    score = curve(math.log10(1 + distinct), (0.7, 0), (1.3, 3), (1.8, 5), (2.3, 7.5), (2.8, 10))
    return Finding(score, f"{distinct} distinct content terms")


@facet(
    "Logical Ordering",
    "Sequence & Order",
    "Order of Presentation",
    "Ordering of Steps",
    measures="Numbered items that rise by one; imports first; declarations before their use",
    phrases=("Out of order", "Mostly in order", "In order"),
    flaw=True,
    typical=9.5,
)
def ordering(doc: Document) -> Finding | None:
    """Order that can be checked from the text."""
    numbers = [int(number) for number in _NUMBERED.findall(doc.body)]
    steps = [b == a + 1 or b == 1 for a, b in pairwise(numbers)]
    imports = [i for i, line in enumerate(doc.lines) if re.match(r"(?:import|from) [\w.]+", line)]
    if doc.kind == "python" and imports:
        steps += [i <= max(40, len(doc.lines) // 3) for i in imports]
        body = [i for i, line in enumerate(doc.lines) if re.match(r"(?:def|class) \w", line)]
        steps += [i < body[0] for i in imports] if body else []
    if doc.kind == "html":
        steps += _rising(
            doc.body.lower(), ("<html", "<head", "</head>", "<body", "</body>", "</html>")
        )
    if len(steps) < 2:
        return None
    good = sum(steps)
    score = curve(good / len(steps), (0.2, 0.5), (0.5, 3), (0.8, 6.5), (1, 9.5))
    return Finding(score, f"{good} of {len(steps)} ordered items in place")


def _rising(text: str, marks: tuple[str, ...]) -> list[bool]:
    places = [text.find(mark) for mark in marks if mark in text]
    return [a < b for a, b in pairwise(places)]


FACETS = (
    specificity,
    examples,
    educational,
    actionability,
    difficulty,
    density,
    reasoning,
    verifiability,
    opening,
    substance,
    ordering,
)
