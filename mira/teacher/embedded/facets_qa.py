"""Facets of a question and its answer (all ours)."""

from __future__ import annotations

import re
from collections import Counter

from mira.teacher.embedded import lexicon
from mira.teacher.embedded.facet import Finding, curve, facet, quote, share
from mira.teacher.embedded.turns import Document

_ASKING = re.compile(
    r"\b(?:what|how|why|when|where|which|who|whose|explain|describe|write|give|list|show|compute|find"
    r"|solve|calculate|determine|prove|translate|summari[sz]e|compare|create|generate|can you"
    r"|is|are|does|do)\b"
    r"|什么|怎么|如何|为什么|哪|请|吗|写|给|生成|列",
    re.IGNORECASE,
)
_EQUATION = re.compile(
    r"(?<![\w.^/*+\-])\$?(-?\d[\d,]*(?:\.\d+)?)((?:\s*[-+*/×÷x]\s*\$?\d[\d,]*(?:\.\d+)?)+)\s*=\s*\$?(?:<<[^>]*>>)?(-?\d[\d,]*(?:\.\d+)?)(?![\w^/*]|\s*[-+*/×÷]\s*\d)"
)
_OPERAND = re.compile(r"([-+*/×÷x])\s*\$?(\d[\d,]*(?:\.\d+)?)")
_PARTS = re.compile(
    r"\?|？|\b(?:and|also|as well as)\b|^\s*(?:\d+[.)]|[-*]) |以及|并", re.IGNORECASE | re.MULTILINE
)


def _match(doc: Document) -> tuple[float, list[str], list[str]]:
    """Rarity-weighted share of the question's terms found in the answer, with both kinds."""
    asked = list(dict.fromkeys(doc.question_terms))
    answered = set(doc.answer_terms)
    taken = [term for term in asked if term in answered]
    total = sum(map(lexicon.rarity, asked))
    return (sum(map(lexicon.rarity, taken)) / total if total else 0.0), taken, asked


def _unanswered(doc: Document) -> bool:
    return not doc.question.strip() or not doc.answer.strip()


@facet(
    "Question Clarity",
    "Clarity of Question",
    "Prompt Clarity",
    "Well-posed Question",
    measures="Whether the question asks, at a sensible length, about named things",
    phrases=("Unclear question", "Question needs guessing", "Clear question"),
    families=("qa",),
    typical=8.5,
)
def question_clarity(doc: Document) -> Finding | None:
    """An asking word, a closing mark, specifics, 6 to 80 words."""
    if not doc.question.strip():
        return Finding(0.0, "no question at all")
    count = len(lexicon.words(doc.question))
    asking = bool(_ASKING.search(doc.question))
    marked = bool(re.search(r"[?？.。:：]\s*$|```\s*$", doc.question.strip()))
    specifics = len(set(doc.question_terms))
    score = curve(count, (1, 0), (4, 1.5), (12, 3.5), (60, 3.5), (200, 2.5), (800, 1.5))
    score += 2 * asking + 1.5 * marked + curve(specifics, (0, 0), (4, 0.8), (12, 1.8), (30, 2.8))
    return Finding(
        score, f"{count} words, {specifics} content terms, {'asks' if asking else 'no asking word'}"
    )


@facet(
    "Answer Relevance",
    "Relevance to the Question",
    "On-topic Answer",
    "Responsiveness",
    "Alignment with the Question",
    measures="Rarity-weighted share of the question's content terms that the answer takes up",
    phrases=("Answers something else", "Answers in part", "Answers the question asked"),
    families=("qa",),
    weight=3.0,
    flaw=True,
    typical=8.0,
)
def answer_relevance(doc: Document) -> Finding | None:
    """Overlap of question and answer; the answer's own main terms count too."""
    if _unanswered(doc):
        return Finding(0.0, "question or answer is missing")
    part, taken, asked = _match(doc)
    main = [term for term, _ in Counter(doc.answer_terms).most_common(8)]
    echoed = share(sum(term in asked for term in main), len(main))
    level = part + 0.4 * echoed + min(0.2, 0.04 * len(taken))
    score = curve(level, (0.0, 0.5), (0.2, 2.5), (0.45, 5.5), (0.8, 8), (1.4, 10))
    missing = next((term for term in asked if term not in taken), "")
    seen = f", not {quote(missing, 14)}" if missing else ""
    return Finding(score, f"answer takes up {len(taken)} of {len(asked)} question terms{seen}")


@facet(
    "Answer Completeness",
    "Completeness of Answer",
    "Coverage of the Question",
    "Thoroughness",
    measures="Length and endings of the answer against the number of things asked",
    phrases=("Leaves most unanswered", "Answers partly", "Answers fully"),
    families=("qa",),
    weight=1.5,
    flaw=True,
    typical=8.0,
)
def answer_completeness(doc: Document) -> Finding | None:
    """Words of answer for each part asked, overlap, and a proper end."""
    if _unanswered(doc):
        return Finding(0.0, "no answer given")
    parts = min(6, max(1, len(_PARTS.findall(doc.question[-600:]))))
    each = doc.answer_words / parts
    ended = doc.answer.rstrip().endswith((".", "!", "`", ")", "。", "}", "|", "*", '"', "'", "]"))
    ended = ended or doc.answer.rstrip()[-1:].isdigit()
    score = curve(each, (1, 2), (8, 4.5), (25, 6), (60, 7.5), (150, 9))
    score += curve(_match(doc)[0], (0, -1.5), (0.3, 0), (0.7, 1)) - 2 * (not ended)
    return Finding(
        score, f"{doc.answer_words} words for {parts} parts, {'closed' if ended else 'unfinished'}"
    )


@facet(
    "Answer Depth",
    "Depth of Answer",
    "Depth of Treatment",
    "Detail of Explanation",
    measures="Length of the answer, its reasons, examples and distinct terms",
    phrases=("Superficial answer", "Some depth", "Deep answer"),
    families=("qa",),
    typical=6.5,
)
def answer_depth(doc: Document) -> Finding | None:
    """How far below the surface the answer goes."""
    if _unanswered(doc):
        return Finding(0.0, "no answer given")
    why = len(lexicon.REASONING.find(doc.answer))
    distinct = len(set(doc.answer_terms))
    score = curve(distinct, (3, 1), (12, 3), (40, 5.5), (100, 7.5), (220, 9))
    score += min(1.5, 0.25 * why) + min(1.0, 0.5 * len(doc.code_blocks))
    return Finding(
        score, f"{distinct} distinct terms, {why} reasons, {len(doc.code_blocks)} code blocks"
    )


@facet(
    "Answer Conciseness",
    "Brevity",
    "Economy of Words",
    "Succinctness",
    measures="Filler words, restated question and length beyond need",
    phrases=("Long-winded", "Could be shorter", "To the point"),
    families=("qa",),
    typical=6.0,
    weight=0.7,
)
def answer_conciseness(doc: Document) -> Finding | None:
    """Words per distinct content term, filler, and sheer length."""
    if _unanswered(doc):
        return None
    filler = len(lexicon.FILLER.find(doc.answer))
    load = share(doc.answer_words, len(set(doc.answer_terms)))
    score = curve(load, (1.5, 9.5), (2.5, 8), (4, 6), (7, 3), (12, 1))
    score -= min(3.0, 60 * filler / max(20, doc.answer_words)) + curve(
        doc.answer_words, (300, 0), (1500, 2)
    )
    return Finding(score, f"{load:.1f} words for each new term, {filler} fillers")


@facet(
    "Step-by-step Reasoning",
    "Reasoning Steps",
    "Clarity of Reasoning",
    "Worked Solution",
    measures="Steps, sequence words and equations in the answer",
    phrases=("No visible steps", "Some steps shown", "Worked step by step"),
    families=("qa",),
    typical=6.5,
    weight=0.7,
)
def stepwise(doc: Document) -> Finding | None:
    """Marks of working towards the result."""
    if _unanswered(doc):
        return None
    steps = len(lexicon.STEP.findall(doc.answer))
    equations = len(re.findall(r"=\s*[$<\\]*-?\d", doc.answer))
    why = len(lexicon.REASONING.find(doc.answer))
    score = curve(steps + equations + 0.5 * why, (0, 1), (2, 4), (4, 6), (8, 8.5), (15, 10))
    return Finding(score, f"{steps} steps, {equations} equations, {why} reasons")


@facet(
    "Arithmetic Correctness",
    "Calculation Accuracy",
    "Mathematical Correctness",
    "Numerical Accuracy",
    measures="Share of written calculations (a op b = c) that hold",
    phrases=("Wrong arithmetic", "Some slips in arithmetic", "Arithmetic holds"),
    families=("qa",),
    weight=2.0,
    flaw=True,
    typical=9.5,
)
def arithmetic(doc: Document) -> Finding | None:
    """Every plain calculation of the answer done again."""
    sums = _EQUATION.findall(doc.answer[:12_000])
    if not sums:
        return None
    wrong = [item for item in sums if not _holds(*item)]
    right = 1 - len(wrong) / len(sums)
    score = curve(right, (0, 0), (0.5, 3), (0.8, 5.5), (0.99, 7.5), (1, 9.5))
    seen = f", not {quote(''.join((wrong[0][0], wrong[0][1], '=', wrong[0][2])))}" if wrong else ""
    return Finding(score, f"{len(sums) - len(wrong)} of {len(sums)} calculations hold{seen}")


def _number(text: str) -> float:
    return float(text.replace(",", "") or 0)


def _holds(first: str, rest: str, result: str) -> bool:
    """Evaluate with the usual precedence; rounding in the last written digit is allowed."""
    total, product = 0.0, _number(first)
    for operator, operand in _OPERAND.findall(rest):
        value = _number(operand)
        if operator in "*×x":
            product *= value
        elif operator in "/÷":
            if value == 0:
                return False
            product /= value
        else:
            total, product = total + product, value if operator == "+" else -value
    digits = len(result.partition(".")[2])
    return abs(total + product - _number(result)) <= 10.0**-digits


@facet(
    "Answer Format Fit",
    "Appropriate Answer Form",
    "Format Appropriateness",
    "Instruction Following",
    measures="Whether the answer has the form the question calls for: number, code, list, reason",
    phrases=("Wrong kind of answer", "Form partly fits", "Right kind of answer"),
    families=("qa",),
    weight=1.5,
    flaw=True,
    typical=8.5,
)
def format_fit(doc: Document) -> Finding | None:
    """Each demand of the question checked on the answer."""
    if _unanswered(doc):
        return Finding(0.0, "no answer given")
    wanted = [name for name, ask, _ in _FORMS if ask.search(doc.question)]
    if not wanted:
        return None
    met = [name for name, ask, shape in _FORMS if name in wanted and shape.search(doc.answer)]
    score = curve(len(met) / len(wanted), (0, 2), (0.5, 5.5), (1, 9))
    lacking = next((name for name in wanted if name not in met), "nothing")
    return Finding(score, f"question wants {', '.join(wanted)}; {lacking} is lacking")


def _form(name: str, ask: str, shape: str) -> tuple[str, re.Pattern[str], re.Pattern[str]]:
    return name, re.compile(ask, re.IGNORECASE), re.compile(shape, re.IGNORECASE | re.MULTILINE)


_FORMS = (
    _form("a number", r"how (?:many|much|old|long|far)|\bcompute\b|calculate|evaluate|多少", r"\d"),
    _form(
        "code",
        r"\b(?:write|implement|code|snippet|example of using)\b|代码",
        r"```|>>>|\bdef \w|;\s*$|\w\(",
    ),
    _form(
        "a list",
        r"\b(?:list|enumerate|what are|parameters|arguments|steps)\b|列出|列举",
        r"^\s*(?:[-*]|\d+[.)])|,.*,|:.*\n.*:|、",
    ),
    _form(
        "a reason",
        r"\bwhy\b|\bexplain\b|\bcause|为什么",
        r"because|since|so |thus|therefore|due|as |reason|when|if |means|因为|由于",
    ),
    _form("an error", r"\b(?:exception|error|raise[sd]?)\b", r"Error|Exception|raise|fail|error"),
    _form(
        "an output",
        r"\bwhat (?:does .* (?:return|print|output)|is the (?:output|result|value))",
        r"`|>>>|=|\d|returns?|None|True|False|['\"]",
    ),
)


@facet(
    "Directness",
    "Answer Directness",
    "Answers Up Front",
    "Getting to the Point",
    measures="Question terms in the first sentence of the answer; a stated result at the end",
    phrases=("Evades the question", "Comes to the point late", "Answers at once"),
    families=("qa",),
    flaw=True,
    typical=7.5,
)
def directness(doc: Document) -> Finding | None:
    """The answer's first words against the question."""
    if _unanswered(doc):
        return Finding(0.0, "no answer given")
    opening = doc.answer.strip()[:220]
    asked = set(doc.question_terms)
    head = lexicon.terms(opening)
    part = share(sum(term in asked for term in head), len(head))
    concluded = bool(
        re.search(
            r"(?:answer|result|####|therefore|total|so|因此)\W.{0,60}\Z",
            doc.answer.strip(),
            re.I | re.S,
        )
    )
    score = curve(part, (0, 2), (0.1, 4.5), (0.25, 6.5), (0.5, 8.5), (0.8, 9)) + 1.5 * concluded
    return Finding(score, f"{part:.0%} of the first words are on the question")


@facet(
    "Answer Grounding",
    "Use of Given Facts",
    "Use of the Question's Data",
    "Faithfulness",
    measures="Numbers, quoted names and code references of the question that the answer uses",
    phrases=("Ignores what was given", "Uses part of what was given", "Builds on what was given"),
    families=("qa",),
    weight=1.5,
    flaw=True,
    typical=9.0,
)
def grounding(doc: Document) -> Finding | None:
    """Given particulars found again in the answer."""
    given = {match.strip("`()") for match in lexicon.REFERENCE.findall(doc.question)}
    given |= {match.lstrip("+") for match in lexicon.NUMBER.findall(doc.question)}
    given.discard("")
    if not given or _unanswered(doc):
        return None
    used = {item for item in given if item in doc.answer or item.split(".")[-1] in doc.answer}
    score = curve(len(used) / len(given), (0, 1), (0.3, 4.5), (0.6, 7), (1, 9.5))
    left = sorted(given - used)
    seen = f", not {quote(left[0], 16)}" if left else ""
    return Finding(score, f"answer uses {len(used)} of {len(given)} given particulars{seen}")


FACETS = (
    question_clarity,
    answer_relevance,
    answer_completeness,
    answer_depth,
    answer_conciseness,
    stepwise,
    arithmetic,
    format_fit,
    directness,
    grounding,
)
