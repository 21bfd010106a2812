"""Facets of code and markup in a record: Python, HTML, JSON, fenced blocks, sessions (all ours)."""

from __future__ import annotations

import ast
import builtins
import json
import keyword
import re
import warnings
from collections import Counter
from itertools import pairwise

from mira.teacher.embedded import lexicon
from mira.teacher.embedded.facet import Finding, curve, facet, quote, share
from mira.teacher.embedded.turns import Document

_PARSED_CHARACTERS = 12_000
_NAME = re.compile(r"\b[A-Za-z_]\w*\b")
_ASSIGNED = re.compile(
    r"(?:\bdef|\bclass|\bfor|\bas|\bimport|,)\s+(\w+)|^\s*(\w+)\s*(?::[^=\n]+)?=[^=]", re.M
)
_DEFINITION = re.compile(r"^([ \t]*)(?:async )?(?:def|class) +(\w+)[^\n]*", re.MULTILINE)
_DOCUMENTED = re.compile(
    r"^[ \t]*(?:async )?(?:def|class) +\w+(?:[^\n]*|\([^)]*\)[^\n:]*):[ \t]*\n"
    r"\s*[rbu]?(?:\"\"\"|''')",
    re.M,
)
_COMMENT = re.compile(
    r"(?:^|\s)#(?!!)[ \t]*([^\n]*)|<!--(.*?)-->|(?:^|\s)//[ \t]*([^\n]*)", re.M | re.S
)
_CALLED = re.compile(r"(?<![.\w])([A-Za-z_]\w*)\(")
_STRINGS = re.compile(r"\"\"\".*?\"\"\"|'''.*?'''|\"[^\"\n]*\"|'[^'\n]*'|#[^\n]*", re.S)
_ELEMENT = re.compile(r"<(/?)([A-Za-z][\w-]*)((?:\s[^<>]*?)?)(/?)>")
_OMISSION = re.compile(r"^\[\.\.\. \d+ characters omitted \.\.\.\]$", re.MULTILINE)
_STATEMENT = re.compile(r"(?!else|elif|except|finally)[A-Za-z_@]")
_COMPOUND = re.compile(r"(?:async |def |class |if |for |while |with |try:)")
_VOID = lexicon.listed("area base br col embed hr img input link meta source track wbr path use")
_OPTIONAL = lexicon.listed("p li dt dd tr td th option thead tbody")
_SEMANTIC = re.compile(
    r"<(?:header|nav|main|section|article|aside|footer"
    r"|h[1-6]|p|ul|ol|li|table|label|dl|dt|dd|button|form|title|code|pre)\b",
    re.I,
)
_GENERIC = re.compile(r"<(?:div|span|font|br|center|b|i)\b", re.I)
_KNOWN = frozenset(dir(builtins)) | frozenset(keyword.kwlist) | {"self", "cls"}


@facet(
    "Syntactic Correctness",
    "Parseability",
    "Technical Correctness",
    "Syntax Validity",
    "Code Correctness",
    measures="Share of Python that parses (blocks and longest prefix); HTML tag balance; JSON",
    phrases=("Does not parse", "Parses in part", "Parses cleanly"),
    weight=2.5,
    flaw=True,
    typical=9.0,
)
def syntax(doc: Document) -> Finding | None:
    """Whether the machine-readable part of the record can be read by a machine."""
    if doc.kind == "html":
        return _tag_balance(doc.body)
    if doc.kind == "json":
        return _json_validity(doc.body)
    blocks = (
        [doc.code] if doc.kind == "python" else [b for b in doc.code_blocks if _reads_as_python(b)]
    )
    if not blocks:
        return None
    good = total = 0.0
    for block in [piece for whole in blocks for piece in _shown_pieces(whole)][:8]:
        size = min(len(block), _PARSED_CHARACTERS)
        good, total = good + size * _parsing_share(block), total + size
    part = good / total if total else 1.0
    score = curve(part, (0, 0), (0.3, 2), (0.7, 4.5), (0.95, 7), (1, 10))
    return Finding(score, f"{part:.0%} of the Python code parses")


def _reads_as_python(block: str) -> bool:
    return bool(
        re.search(r"^\s*(?:def |class |import |from \w|\w+ = |print\()", block, re.M)
    ) and not (
        re.search(r"^(?:diff |@@|[-+]{3} |\s*(?:>>>|In \[|\$ )|<\w+)|[{};]\s*$", block, re.M)
    )


def _shown_pieces(block: str) -> list[str]:
    """The block; of one shown in part, each part from and to a top-level statement."""
    head, *tails = _OMISSION.split(block, maxsplit=1)
    if not tails:
        return [block]
    starts = list(re.finditer(r"^[A-Za-z_@]", head, re.MULTILINE))
    start = re.search(r"^[A-Za-z_@]", tails[0], re.MULTILINE)
    return [
        head[: starts[-1].start()] if starts else "",
        tails[0][start.start() :] if start else "",
    ]


def _parsing_share(source: str) -> float:
    """1 if all parses, else below 0.9: mean share of the parsing prefix and of parsing blocks.

    Blocks are top-level compound statements, or all statements where there is none.
    """
    source = re.sub(r"^[ \t]*[%!].*$", "", source, flags=re.MULTILINE)
    if len(source) > _PARSED_CHARACTERS:
        cut = source.rfind("\n\n", 0, _PARSED_CHARACTERS)
        source = source[: cut if cut > 0 else _PARSED_CHARACTERS]
    stop = _error_line(source)
    lines = source.splitlines()
    if stop is None or not lines:
        return 1.0
    starts = [i for i, line in enumerate(lines) if _STATEMENT.match(line)] or [0]
    spans = list(pairwise([*starts, len(lines)]))
    compound = [(a, b) for a, b in spans if _COMPOUND.match(lines[a])] or spans
    parsing = sum(_error_line("\n".join(lines[a:b])) is None for a, b in compound)
    return 0.45 * min(1.0, (stop - 1) / len(lines)) + 0.45 * parsing / len(compound)


def _error_line(source: str) -> int | None:
    """Line of the first syntax error, None if the source parses."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(source)
    except SyntaxError as error:
        return error.lineno or 1
    except (ValueError, RecursionError, MemoryError):
        return 1
    return None


def _tag_balance(text: str) -> Finding:
    stack: list[str] = []
    faults = seen = 0
    for closing, name, _, selfclosing in _ELEMENT.findall(text):
        tag = name.lower()
        if selfclosing or tag in _VOID:
            continue
        seen += 1
        if not closing:
            stack.append(tag)
        elif tag in stack[-6:]:  # a stray end tag must not close half the page
            while stack and stack[-1] != tag:
                faults += stack.pop() not in _OPTIONAL
            stack.pop()
        else:
            faults += tag not in _OPTIONAL
    left = 0 if _OMISSION.search(text) else sum(tag not in _OPTIONAL for tag in stack)
    part = 1 - share(faults + left, seen)
    score = curve(part, (0.3, 0), (0.7, 3), (0.9, 5.5), (0.97, 7.5), (1, 10))
    return Finding(score, f"{faults} misplaced and {left} unclosed of {seen} tags")


def _json_validity(text: str) -> Finding:
    try:
        json.loads(text)
        return Finding(10.0, "one valid JSON document")
    except ValueError:
        lines = [line for line in text.splitlines() if line.strip()]
    good = 0
    for line in lines[:500]:
        try:
            json.loads(line)
            good += 1
        except ValueError:
            continue
    part = share(good, len(lines[:500]))
    return Finding(curve(part, (0, 1), (1, 10)), f"{good} of {len(lines)} lines are valid JSON")


@facet(
    "Identifier Quality",
    "Naming Quality",
    "Meaningful Names",
    "Naming Conventions",
    measures="Length, wordiness and consistent style of assigned, defined and argument names",
    phrases=("Cryptic names", "Fair naming", "Descriptive names"),
    typical=6.0,
)
def identifiers(doc: Document) -> Finding | None:
    """Names that the code itself introduces."""
    introduced = {a or b for a, b in _ASSIGNED.findall(doc.code[:_PARSED_CHARACTERS])} - _KNOWN
    if len(introduced) < 4:
        return None
    short = sum(len(name.strip("_")) <= 2 for name in introduced)
    wordy = sum(len(name) >= 5 for name in introduced)
    camel = sum(bool(re.search(r"[a-z][A-Z]", name)) for name in introduced)
    snake = sum("_" in name.strip("_") for name in introduced)
    count = len(introduced)
    mixed = min(camel, snake) / count
    score = curve(wordy / count, (0.1, 2), (0.4, 5), (0.7, 7.5), (0.95, 9.5))
    score -= 4 * short / count + 4 * mixed
    return Finding(score, f"{count} names, {short} cryptic, {wordy} descriptive")


@facet(
    "Comment & Docstring Quality",
    "Documentation Quality",
    "Code Documentation",
    "Comment Quality",
    "Inline Documentation",
    measures="Share of definitions with a docstring; words in comments",
    phrases=("Undocumented", "Partly documented", "Well documented"),
    weight=1.2,
    typical=5.0,
)
def documentation(doc: Document) -> Finding | None:
    """Docstring coverage and comments per line of code."""
    source = doc.body if doc.kind == "html" else doc.code
    if len(source) < 120:
        return None
    definitions = len(_DEFINITION.findall(source))
    if not definitions and source.count("\n") < 12:
        return None
    documented = min(definitions, len(_DOCUMENTED.findall(source)))
    comments = ["".join(groups) for groups in _COMMENT.findall(source)]
    telling = sum(len(lexicon.words(comment)) >= 3 for comment in comments)
    rate = telling / max(1, source.count("\n"))
    by_comments = curve(rate, (0, 1), (0.03, 4), (0.1, 7), (0.25, 9))
    score = by_comments
    if definitions:
        covered = documented / definitions
        score = max(by_comments - 1, 1.5 + 7 * covered) + min(1.5, 10 * rate)
    return Finding(
        score, f"{documented} of {definitions} definitions documented, {telling} telling comments"
    )


@facet(
    "Indentation Consistency",
    "Code Layout",
    "Code Readability",
    "Layout Consistency",
    measures="Share of lines whose indentation follows from the line before",
    phrases=("Indentation is broken", "Uneven indentation", "Consistent indentation"),
    weight=1.5,
    flaw=True,
    typical=9.0,
)
def indentation(doc: Document) -> Finding | None:
    """Deeper only after an opener or inside brackets; back only to a level in use."""
    if doc.kind == "html":
        lines = [line for line in doc.body.expandtabs(4).splitlines() if line.strip()]
        if len(lines) < 6:
            return None
        good = [_html_step(a, b) for a, b in pairwise(lines)]
    else:
        lines = [line for line in doc.code.expandtabs(4).splitlines() if line.strip()]
        if len(lines) < 6:
            return None
        good = _python_steps(lines)
    kept = sum(good)
    nested = sum(line[0] == " " for line in lines) / len(lines)
    score = curve(kept / len(good), (0.4, 0), (0.7, 3), (0.85, 5.5), (0.95, 8), (1, 10))
    score -= 3 if nested < 0.03 and len(lines) > 30 else 0
    return Finding(score, f"{len(good) - kept} of {len(good)} lines oddly indented")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _html_step(before: str, after: str) -> bool:
    step = _indent(after) - _indent(before)
    text = before.strip()
    opens = text.startswith("<") and not text.startswith(("</", "<!")) and "</" not in text
    if step > 0:
        return step <= 8 and (opens or text.endswith(("{", "(", "[", ",", ">")))
    return step > -16 or after.strip().startswith(("</", "}"))


def _python_steps(lines: list[str]) -> list[bool]:
    levels = [0]
    good = []
    for before, after in pairwise(lines):
        last, indent = before.split("#")[0].rstrip(), _indent(after)
        opener = last.endswith(":") and not last.strip().startswith(("#", ":", "Args", "Ret"))
        loose = last.endswith((",", "(", "[", "{", "\\")) or after.lstrip()[:1] in "\"'#)]}"
        if opener:
            good.append(indent > _indent(before) or loose)
            levels.append(indent)
        elif indent > _indent(before):
            good.append(loose or (not last.endswith((")", ":")) and indent in levels))
        else:
            good.append(True)
            levels.append(indent)
    return good


@facet(
    "Modularity",
    "Code Organization",
    "Code Readability & Organization",
    "Code Structure",
    measures="Length of definitions and depth of nesting",
    phrases=("Tangled code", "Somewhat long or deep", "Small, shallow units"),
    typical=6.5,
)
def modularity(doc: Document) -> Finding | None:
    """Mean lines per definition, near 12 best, and share of deeply nested lines."""
    lines = [line for line in doc.code.splitlines() if line.strip()]
    if len(lines) < 10:
        return None
    definitions = len(_DEFINITION.findall(doc.code))
    size = len(lines) / max(1, definitions)
    deep = sum(_indent(line) >= 16 for line in lines) / len(lines)
    score = curve(size, (2, 7), (8, 9.5), (15, 8.5), (30, 6), (60, 3), (150, 1)) - 8 * deep
    return Finding(
        score, f"{definitions} definitions, {size:.0f} lines each, {deep:.0%} deeply nested"
    )


@facet(
    "Robustness & Error Handling",
    "Error Handling",
    "Input Validation",
    "Defensive Programming",
    measures="try, except, raise, assert, isinstance and guards per hundred lines",
    phrases=("No error handling", "Some error handling", "Handles errors"),
    weight=0.4,
    typical=4.5,
)
def robustness(doc: Document) -> Finding | None:
    """Signs that failure was thought of."""
    lines = doc.code.count("\n")
    if lines < 10:
        return None
    found = Counter(re.findall(r"\b(try|except|finally|raise|assert|isinstance|with)\b", doc.code))
    bare = len(re.findall(r"except:\s*$", doc.code, re.MULTILINE))
    rate = 100 * sum(found.values()) / lines
    score = curve(rate, (0, 1.5), (2, 4), (6, 6.5), (14, 9)) - bare
    return Finding(
        score, f"{found['raise']} raises, {found['except']} handlers, {found['assert']} asserts"
    )


@facet(
    "Test Coverage",
    "Testability",
    "Testing Quality",
    "Presence of Tests",
    measures="Tests, assertions and doctests per definition",
    phrases=("Untested", "Some tests", "Thoroughly tested"),
    weight=0.4,
    typical=4.0,
)
def tests(doc: Document) -> Finding | None:
    """What the code checks about itself."""
    if doc.code.count("\n") < 10:
        return None
    checks = len(re.findall(r"\bassert\w*\b|^\s*>>> |\bdef test_", doc.code, re.MULTILINE))
    definitions = max(1, len(_DEFINITION.findall(doc.code)))
    score = curve(checks / definitions, (0, 1), (0.2, 3.5), (1, 6.5), (3, 9.5))
    return Finding(score, f"{checks} checks for {definitions} definitions")


@facet(
    "Interface Documentation",
    "Type Annotations",
    "API Clarity",
    "Interface Clarity",
    measures="Share of function signatures with annotations or documented parameters",
    phrases=("Bare signatures", "Signatures partly described", "Clear signatures"),
    weight=0.4,
    typical=3.5,
)
def interfaces(doc: Document) -> Finding | None:
    """Signatures a caller can use without reading the body."""
    signatures = re.findall(r"\bdef \w+\(([^)]*)\)([^:\n]*):", doc.code)
    if not signatures:
        return None
    typed = sum(":" in arguments or "->" in result for arguments, result in signatures)
    described = len(re.findall(r":param|:return|Parameters\n|Args:|Returns:|:type", doc.code))
    part = min(1.0, (typed + 0.5 * described) / len(signatures))
    score = curve(part, (0, 2), (0.3, 5), (0.7, 8), (1, 10))
    return Finding(
        score, f"{typed} of {len(signatures)} signatures annotated, {described} described"
    )


@facet(
    "Self-containedness",
    "Name Resolution",
    "Defined Before Use",
    "Code Completeness",
    measures="Share of called names that the code imports or defines before the call",
    phrases=("Uses undefined names", "Some names unexplained", "All names accounted for"),
    weight=1.2,
    flaw=True,
    typical=8.5,
)
def resolution(doc: Document) -> Finding | None:
    """Calls of names that came first: imports, definitions, builtins."""
    source = _STRINGS.sub("''", doc.code[:_PARSED_CHARACTERS])
    if len(source) < 80 or re.search(r"import \*", source):
        return None
    first: dict[str, int] = {}
    for match in _NAME.finditer(source):
        first.setdefault(match[0], match.start())
    called = {match[1]: match.start(1) for match in reversed(list(_CALLED.finditer(source)))}
    names = {name: place for name, place in called.items() if name not in _KNOWN}
    if len(names) < 2:
        return None
    bound = [
        name for name, place in names.items() if first[name] < place or _binds(source, name, place)
    ]
    lost = sorted(set(names) - set(bound))
    part = len(bound) / len(names)
    score = curve(part, (0.1, 1), (0.5, 4), (0.8, 7), (1, 9.5))
    seen = f", not {quote(lost[0], 20)}" if lost else ""
    return Finding(score, f"{len(bound)} of {len(names)} called names introduced before{seen}")


def _binds(source: str, name: str, place: int) -> bool:
    return source[max(0, place - 6) : place].endswith(("def ", "class "))


@facet(
    "Semantic HTML Structure",
    "Markup Semantics",
    "Accessibility Compliance",
    "HTML Quality",
    measures="Semantic elements against generic ones; alt, lang and label attributes",
    phrases=("Generic markup", "Partly semantic markup", "Semantic markup"),
    typical=6.0,
    families=("text",),
)
def markup(doc: Document) -> Finding | None:
    """Elements that say what they hold."""
    if doc.kind != "html":
        return None
    semantic, generic = len(_SEMANTIC.findall(doc.body)), len(_GENERIC.findall(doc.body))
    aids = len(re.findall(r"\b(?:alt|lang|aria-\w+|for|role)=", doc.body))
    score = curve(share(semantic, semantic + generic), (0.1, 1), (0.4, 4.5), (0.7, 7), (0.95, 9))
    score += min(1.5, 0.1 * aids)
    return Finding(
        score, f"{semantic} semantic, {generic} generic elements, {aids} accessibility aids"
    )


FACETS = (
    syntax,
    identifiers,
    documentation,
    indentation,
    modularity,
    robustness,
    tests,
    interfaces,
    resolution,
    markup,
)
