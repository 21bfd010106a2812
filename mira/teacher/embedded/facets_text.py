"""Facets of form: how the text is written, whatever it is about (all ours)."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

from mira.teacher.embedded import lexicon
from mira.teacher.embedded.facet import Finding, curve, facet, quote, share
from mira.teacher.embedded.turns import Document

_HEADING = re.compile(
    r"^(?:#{1,6} \S|[=\-~^]{4,}\s*$|<h[1-6]|\s*(?:class|def|async def) \w|@@ |diff --git)"
)
_BULLET = re.compile(r"^\s*(?:[-*+] |\d{1,3}[.)] |:param|:return|Args:|Returns:|Raises:)")
_MOJIBAKE = re.compile(
    r"Ã[\u0080-\u00bf\u2010-\u203a]|â[€\u0080][\u0080-\u009d\u2010-\u2122\u0153]|Â[\u0080-\u00bf]|ï»¿|ï¿½"
    r"|[åæçèéä][\u0080-\u00bf\u2010-\u203a]{2}|[\ufffd\x00-\x08\x0b\x0e-\x1f\u007f-\u009f]|\w\?\?\w|锟斤拷|&amp;(?:#|\w+;)"
)
_CLOSERS = tuple(".!?:)\"'`}>]。！？”）*;|…$")
_OPEN, _CLOSE = "([{", ")]}"


@facet(
    "Structure & Sectioning",
    "Document Structure",
    "Organization",
    "Logical Organization",
    measures="Headings, definitions, lists and paragraph breaks per line",
    phrases=("Hard to navigate", "Some visible structure", "Clearly sectioned"),
    families=("qa", "text"),
    weight=0.8,
    typical=7.0,
)
def structure(doc: Document) -> Finding | None:
    """Share of lines that open a section, a list item or a paragraph."""
    if len(doc.lines) < 5:
        return None
    headings = sum(bool(_HEADING.match(line)) for line in doc.lines)
    bullets = sum(bool(_BULLET.match(line)) for line in doc.lines)
    lines, blocks = len(doc.lines), len(doc.paragraphs)
    signs = headings + 0.5 * bullets + 0.5 * blocks
    score = curve(signs / lines, (0.0, 0), (0.05, 2), (0.15, 5), (0.3, 8), (0.5, 10))
    return Finding(
        score, f"{headings} headings, {bullets} list items, {blocks} blocks in {lines} lines"
    )


@facet(
    "Low Redundancy",
    "Non-repetitiveness",
    "Repetition",
    "Content Uniqueness",
    "Redundancy Control",
    measures="Share of repeated lines and of repeated six-word sequences",
    phrases=("Heavily repetitive", "Some repetition", "Hardly any repetition"),
    weight=1.5,
    flaw=True,
    typical=8.0,
)
def redundancy(doc: Document) -> Finding | None:
    """Characters in lines seen before, and six-word sequences seen before."""
    lines = Counter(line.strip() for line in doc.lines if len(line.strip()) >= 12)
    repeats = sum(count - 1 for count in lines.values())
    repeated = share(sum(len(k) * (n - 1) for k, n in lines.items()), sum(map(len, doc.lines)))
    grams = list(zip(*(doc.words[i:] for i in range(6)), strict=False))
    again = 1 - share(len(set(grams)), len(grams)) if grams else 0.0
    worst = max(repeated, 0.8 * again)
    score = curve(worst, (0, 10), (0.03, 9), (0.1, 7), (0.2, 5), (0.4, 2), (0.7, 0))
    return Finding(score, f"{repeats} repeated lines, {again:.0%} of six-word runs repeated")


@facet(
    "Signal-to-Boilerplate Ratio",
    "Absence of Boilerplate",
    "Signal-to-Noise Ratio",
    "Boilerplate Content",
    measures="Share of lines with legal, promotional or navigation phrases; filler words",
    phrases=("Swamped by boilerplate", "Some boilerplate", "Almost pure content"),
    weight=1.5,
    flaw=True,
    typical=9.5,
)
def boilerplate(doc: Document) -> Finding | None:
    """Lines that carry stock phrases rather than content."""
    hints = set(lexicon.BOILERPLATE.find(doc.window))
    marked = [line for line in doc.lines if hints and any(hint in line.lower() for hint in hints)]
    part = share(sum(len(line) for line in marked), sum(map(len, doc.lines)))
    filler = 100 * share(len(lexicon.FILLER.find(doc.prose)), len(doc.words))
    score = curve(part, (0, 9.8), (0.02, 8), (0.08, 5.5), (0.2, 3), (0.5, 0)) - min(2.0, filler)
    seen = f", such as {quote(marked[0])}" if marked else ""
    return Finding(score, f"{len(marked)} boilerplate lines of {len(doc.lines)}{seen}")


@facet(
    "Vocabulary Richness",
    "Lexical Diversity",
    "Word Variety",
    "Richness of Language",
    measures="Distinct content terms per hundred, in moving windows",
    phrases=("Few different words", "Moderate vocabulary", "Rich vocabulary"),
    weight=0.6,
    typical=5.5,
)
def vocabulary(doc: Document) -> Finding | None:
    """Mean share of distinct terms in windows of 100 terms."""
    if len(doc.terms) < 20:
        return None
    starts = range(0, max(1, len(doc.terms) - 99), 50)
    windows = [doc.terms[start : start + 100] for start in starts]
    variety = sum(share(len(set(window)), len(window)) for window in windows) / len(windows)
    score = curve(variety, (0.2, 0), (0.35, 3), (0.5, 5.5), (0.65, 8), (0.85, 10))
    return Finding(score, f"{len(set(doc.terms))} distinct of {len(doc.terms)} content terms")


@facet(
    "Sentence Completeness",
    "Grammatical Completeness",
    "Well-formed Sentences",
    measures="Share of prose sentences that open with a capital and close with punctuation",
    phrases=("Mostly fragments", "Some unfinished sentences", "Complete sentences"),
    typical=8.0,
)
def sentence_completeness(doc: Document) -> Finding | None:
    """Sentences that begin and end like sentences."""
    if len(doc.sentences) < 3:
        return None
    whole = sum(_opens_like_one(s) and s.endswith(_CLOSERS) for s in doc.sentences)
    part = whole / len(doc.sentences)
    score = curve(part, (0.1, 1), (0.3, 4), (0.5, 6), (0.7, 8), (0.95, 10))
    return Finding(score, f"{whole} of {len(doc.sentences)} sentences are whole")


def _opens_like_one(sentence: str) -> bool:
    return not sentence.lstrip("-*#>•(`\"' 0123456789.")[:1].islower()


@facet(
    "Ending Completeness",
    "Completeness of Ending",
    "Truncation",
    "Proper Closure",
    measures="Whether the record ends at a natural end: closed fences, brackets, last sentence",
    phrases=("Cut off at the end", "Abrupt ending", "Ends properly"),
    weight=1.5,
    flaw=True,
    typical=8.0,
)
def ending(doc: Document) -> Finding | None:
    """Last character, fences and brackets left open."""
    text = doc.ending.rstrip()
    if not text:
        return Finding(3.0, "the last turn is empty")
    last = text.splitlines()[-1].strip()
    fences = len(re.findall(r"^\s*```", text, re.MULTILINE)) % 2
    depth = sum(map(text.count, _OPEN)) - sum(map(text.count, _CLOSE))
    closed = last.endswith(_CLOSERS) or last[-1].isdigit() or doc.ending.endswith("\n")
    broken = last.endswith((",", "(", "[", "{", "=", "\\", " and", " the", " of", " a", " to"))
    score = 9.5 - 4 * fences - min(3.0, 1.5 * max(0, depth)) - 4.0 * broken
    score -= 0 if closed else 3.5
    if doc.kind == "html":
        score -= 0 if re.search(r"</\w+>\s*$", text) else 4
    state = "closed" if closed and not broken else "open"
    return Finding(
        score, f"ends {state} on {quote(last[-24:])}, {max(0, depth) + fences} left open"
    )


@facet(
    "Local Coherence",
    "Line-to-line Coherence",
    "Flow of Ideas",
    "Logical Flow",
    measures="Terms shared by neighbouring lines beyond what distant lines share",
    phrases=(
        "Neighbouring lines look unrelated",
        "Loosely connected lines",
        "Lines follow naturally",
    ),
    weight=1.5,
    typical=6.5,
)
def coherence(doc: Document) -> Finding | None:
    """Overlap of adjacent segments less that of segments half a document apart."""
    segments = doc.line_terms
    if len(segments) < 8:
        segments = [lexicon.terms(sentence) for sentence in doc.sentences]
    bags = [frozenset(segment) for segment in segments if segment]
    if len(bags) < 6:
        return None
    half = len(bags) // 2
    near = sum(_overlap(a, b) for a, b in pairwise(bags) if a != b) / (len(bags) - 1)
    far = sum(_overlap(a, b) for a, b in zip(bags, bags[half:], strict=False)) / (len(bags) - half)
    lift = near - far
    score = curve(lift, (-0.05, 0.5), (0, 2.5), (0.04, 5), (0.1, 7.5), (0.25, 10))
    return Finding(score, f"neighbouring lines share {near:.0%} of terms, distant ones {far:.0%}")


def _overlap(a: frozenset[str], b: frozenset[str]) -> float:
    return len(a & b) / min(len(a), len(b))


@facet(
    "Topical Unity",
    "Topic Consistency",
    "Focus",
    "Thematic Coherence",
    "Staying On Topic",
    measures="Likeness of each quarter's vocabulary to the rest; the least like quarter counts",
    phrases=("Wanders off topic", "Mostly one topic", "Stays on one topic"),
    weight=1.5,
    typical=7.0,
)
def unity(doc: Document) -> Finding | None:
    """Cosine between each quarter's terms and the other three quarters' terms."""
    size = len(doc.terms) // 4
    if size < 12:
        return None
    quarters = [Counter(doc.terms[i * size : (i + 1) * size]) for i in range(4)]
    whole = sum(quarters, Counter())
    likeness = [_cosine(quarter, whole - quarter) for quarter in quarters]
    worst = min(likeness)
    score = curve(worst, (0.02, 0.5), (0.1, 3), (0.25, 5.5), (0.45, 8), (0.75, 10))
    place = ("first", "second", "third", "last")[likeness.index(worst)]
    return Finding(score, f"{place} quarter is {worst:.2f} alike to the rest")


def _cosine(a: Counter[str], b: Counter[str]) -> float:
    dot = sum(count * b[term] for term, count in a.items() if term in b)
    norms = sum(n * n for n in a.values()) * sum(n * n for n in b.values())
    return dot / norms**0.5 if norms else 0.0


@facet(
    "Readability",
    "Ease of Reading",
    "Clarity of Writing",
    "Sentence Length",
    measures="Sentence length of prose and share of overlong lines",
    phrases=("Hard to read", "Readable with effort", "Easy to read"),
    weight=0.8,
    typical=7.5,
)
def readability(doc: Document) -> Finding | None:
    """Words per sentence, near 14 best; lines above 100 characters cost."""
    if doc.sentences:
        sizes = [len(lexicon.WORD.findall(s)) for s in doc.sentences]
        mean = sum(sizes) / len(sizes)
    else:
        mean = 14.0
    score = curve(mean, (3, 4), (8, 8), (14, 10), (20, 8), (30, 5), (60, 1))
    overlong = share(sum(len(line) > 160 for line in doc.lines), len(doc.lines))
    score -= 0 if doc.family == "qa" else 3 * overlong
    return Finding(score, f"{mean:.0f} words a sentence, {overlong:.0%} overlong lines")


@facet(
    "Encoding Cleanliness",
    "Character Integrity",
    "Text Cleanliness",
    "Mojibake",
    measures="Garbled, control and replacement characters per thousand",
    phrases=("Garbled characters", "A few stray characters", "Clean characters"),
    weight=1.5,
    flaw=True,
    typical=10.0,
)
def encoding(doc: Document) -> Finding | None:
    """Marks of a wrong decoding."""
    found = _MOJIBAKE.findall(doc.window)
    rate = 1000 * len(found) / max(1, len(doc.window))
    score = curve(rate, (0, 10), (0.2, 6.5), (1, 4), (5, 1.5), (20, 0))
    seen = f", such as {quote(found[0])}" if found else ""
    return Finding(score, f"{len(found)} garbled characters{seen}")


@facet(
    "Language Consistency",
    "Language Appropriateness",
    "Single Language Use",
    measures="Share of paragraphs in the record's main language",
    phrases=("Languages mixed at random", "Some mixing of languages", "One language throughout"),
    flaw=True,
    typical=10.0,
)
def language(doc: Document) -> Finding | None:
    """Language of each paragraph by script and function words."""
    labels = Counter[str]()
    for paragraph in doc.paragraphs[:60]:
        label = _language(paragraph[:600])
        if label:
            labels[label] += 1
    if not labels:
        return None
    main, count = labels.most_common(1)[0]
    total = sum(labels.values())
    score = curve(count / total, (0.4, 1), (0.6, 4), (0.8, 7), (1.0, 10))
    return Finding(score, f"{count} of {total} paragraphs in {main}")


def _language(paragraph: str) -> str | None:
    if sum(map(len, lexicon.CJK.findall(paragraph))) >= 8:
        return "Chinese or Japanese"
    tokens = lexicon.words(paragraph)
    hits = {
        name: sum(token in listed for token in tokens)
        for name, listed in lexicon.FUNCTION_WORDS.items()
    }
    best = max(hits, key=lambda name: hits[name])
    return best if hits[best] >= 3 else None


@facet(
    "Fluency",
    "Natural Language Fluency",
    "Language Quality",
    "Naturalness",
    measures="Share of function words in prose against that of natural English",
    phrases=("Reads like a word list", "Somewhat stilted", "Reads naturally"),
    weight=0.8,
    typical=7.5,
)
def fluency(doc: Document) -> Finding | None:
    """Function words hold sentences together; too few means a list, too many means padding."""
    tokens = [token for token in lexicon.words(doc.prose) if token[0].isascii() and token.isalpha()]
    if len(tokens) < max(25, sum(map(len, lexicon.CJK.findall(doc.prose)))):
        return None
    part = sum(token in lexicon.STOPWORDS for token in tokens) / len(tokens)
    score = curve(part, (0.05, 0.5), (0.2, 4), (0.3, 6.5), (0.4, 9.5), (0.52, 9), (0.65, 5))
    return Finding(score, f"{part:.0%} function words in {len(tokens)} words of prose")


@facet(
    "Formatting Cleanliness",
    "Whitespace & Typography",
    "Formatting Quality",
    "Tidy Formatting",
    measures="Trailing blanks, mixed tabs, runs of blank lines, doubled spaces and punctuation",
    phrases=("Untidy formatting", "Small formatting slips", "Tidy formatting"),
    weight=0.7,
    typical=9.0,
)
def formatting(doc: Document) -> Finding | None:
    """Slips per line."""
    text = doc.window
    lines = text.splitlines()
    trailing = sum(line != line.rstrip() for line in lines)
    tabs = sum("\t" in line for line in lines)
    mixed = min(tabs, len(lines) - tabs)
    gaps = len(re.findall(r"\n[ \t]*\n[ \t]*\n[ \t]*\n", text))
    doubled = len(re.findall(r"[a-z,;]  +[a-zA-Z]|[,;!?]{2,}|\s,\w|[a-z],[A-Za-z]{3}", text))
    slips = trailing + 0.5 * mixed + 2 * gaps + doubled
    score = curve(
        share(int(10 * slips), 10 * len(lines)), (0, 10), (0.05, 8), (0.15, 6), (0.4, 3), (1, 0)
    )
    return Finding(score, f"{trailing} trailing blanks, {gaps} gaps, {doubled} spacing slips")


@facet(
    "Sentence Flow Across Lines",
    "Line Continuity",
    "Narrative Continuity",
    "Text Flow",
    measures="Lines that open in lower case should continue a line that was not finished",
    phrases=("Lines do not connect", "Some broken line joins", "Lines run on correctly"),
    weight=1.2,
    typical=7.0,
)
def flow(doc: Document) -> Finding | None:
    """Joins between neighbouring prose lines."""
    joins = good = 0
    bad = ""
    for before, after in pairwise(doc.prose.splitlines()):
        a, b = before.strip(), after.strip()
        if len(a) < 20 or len(b) < 3 or not b[0].isalpha():
            continue
        ended = a.endswith((".", "!", "?", ":", "。"))
        fits = ended == b[0].isupper() or (len(a) < 50 and not b[0].islower())
        joins, good = joins + 1, good + fits
        bad = bad if fits else b
    if joins < 5:
        return None
    score = curve(good / joins, (0.3, 0.5), (0.5, 3), (0.65, 5), (0.8, 7.5), (0.95, 10))
    seen = f"; breaks at {quote(bad, 18)}" if bad else ""
    return Finding(score, f"{good} of {joins} line joins read on{seen}")


FACETS = (
    structure,
    redundancy,
    boilerplate,
    vocabulary,
    sentence_completeness,
    ending,
    coherence,
    unity,
    readability,
    encoding,
    language,
    fluency,
    formatting,
    flow,
)
