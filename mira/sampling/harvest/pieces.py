"""Cutting long files at natural boundaries: top-level definitions, methods, headings."""

from __future__ import annotations

import ast
import re
import warnings

_HEADING = re.compile(r"^(?:#{1,4} \S.*|\S.*\n(?:={4,}|-{4,}|~{4,}|\^{4,}))$", re.MULTILINE)
_FENCE = re.compile(r"^(?:```|~~~).*?^(?:```|~~~)", re.MULTILINE | re.DOTALL)


def parse_python(source: str) -> ast.Module | None:
    """The module's syntax tree; None when this Python cannot parse it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(source)
        except (SyntaxError, ValueError, RecursionError):
            return None


def code_pieces(source: str, target: int, limit: int) -> list[str]:
    """Cut a module between top-level statements into pieces of about ``target`` characters.

    A class longer than ``limit`` is cut between its methods. Comments and decorators stay with
    what they belong to. A module that does not parse gives no pieces (ours).
    """
    tree = parse_python(source)
    if tree is None:
        return []
    lines = source.splitlines(keepends=True)
    cuts = [0]
    for node in tree.body:
        cuts.append(_first_line(node, lines))
        size = sum(map(len, lines[node.lineno - 1 : node.end_lineno]))
        if isinstance(node, ast.ClassDef) and size > limit:
            cuts += [_first_line(child, lines) for child in node.body]
    return _grouped(_between(lines, cuts), target, limit)


def prose_pieces(text: str, target: int, limit: int) -> list[str]:
    """Cut Markdown or reStructuredText before headings into pieces of about ``target`` characters.

    Headings inside fenced code do not count. A section longer than ``limit`` is cut between
    paragraphs (ours).
    """
    fenced = [match.span() for match in _FENCE.finditer(text)]
    starts = [match.start() for match in _HEADING.finditer(text)]
    cuts = [s for s in starts if not any(low < s < high for low, high in fenced)]
    sections = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    parts: list[str] = []
    for section in sections:
        if len(section) <= limit:
            parts.append(section)
        else:
            parts += re.split(r"(?<=\n\n)", section)
    return _grouped(parts, target, limit)


def shorten(text: str, limit: int, boundary: str = "\n\n") -> str:
    """The text up to ``limit`` characters, cut at the last boundary before it."""
    if len(text) <= limit:
        return text
    cut = text.rfind(boundary, limit // 4, limit)
    return text[: cut if cut > 0 else limit].rstrip()


def _first_line(node: ast.stmt, lines: list[str]) -> int:
    decorators = getattr(node, "decorator_list", [])
    line = min([node.lineno, *(d.lineno for d in decorators)]) - 1
    while line > 0 and lines[line - 1].lstrip().startswith("#"):
        line -= 1
    return line


def _between(lines: list[str], cuts: list[int]) -> list[str]:
    ordered = sorted(set(cuts))
    bounds = zip(ordered, [*ordered[1:], len(lines)], strict=True)
    return ["".join(lines[low:high]) for low, high in bounds]


def _grouped(parts: list[str], target: int, limit: int) -> list[str]:
    pieces: list[str] = []
    current = ""
    for part in parts:
        if current and (len(current) >= target or len(current) + len(part) > limit):
            pieces.append(current)
            current = ""
        current += part
    pieces.append(current)
    trimmed = (piece.strip("\n").rstrip() for piece in pieces)
    return [piece for piece in trimmed if piece and len(piece) <= limit]
