"""Docstrings of the installation's modules, and the sections of the numpydoc ones."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import takewhile

from mira.sampling.harvest.base import HarvestSettings
from mira.sampling.harvest.draw import Draw
from mira.sampling.harvest.installation import (
    SourceFile,
    in_turns,
    package_modules,
    stdlib_modules,
)
from mira.sampling.harvest.pieces import parse_python
from mira.seeds import stable_hash

# Each docstring belongs to one of these sources, so that no two sources tell the same thing.
SHARERS = ("library_docs", "docstring_qa", "doctest_qa", "numpydoc_params")
NUMPYDOC_PACKAGES = ("numpy", "pandas", "scipy", "sklearn", "matplotlib", "networkx")

_SECTION = re.compile(r"^([A-Z][\w ]{2,30})\n-{3,}[ \t]*$", re.MULTILINE)
_PARAMETER = re.compile(r"^(\*{0,2}\w[\w, *]*?)(?: *: *(.+))?$")


@dataclass(frozen=True)
class Documented:
    """A module, class, function or method with its docstring (indentation removed)."""

    name: str
    kind: str
    signature: str
    doc: str
    file: SourceFile

    @property
    def short_name(self) -> str:
        """The last part of the dotted name."""
        return self.name.rsplit(".", 1)[-1]

    @property
    def meta(self) -> dict[str, str | None]:
        """Where the docstring is from, as a record's ``meta`` holds it."""
        return {**self.file.meta, "kind": self.kind, "name": self.name}


@dataclass(frozen=True)
class Parameter:
    """One entry of a numpydoc Parameters section."""

    name: str
    type: str
    description: str


def documented_for(
    source: str,
    settings: HarvestSettings,
    packages: tuple[str, ...],
    wanted: Callable[[Documented], bool],
    *,
    needle: str = '"""',
    stdlib: bool = True,
) -> Iterator[tuple[Documented, Draw]]:
    """Wanted docstrings that belong to ``source``, at most five of a file, in drawn order.

    Files without ``needle`` are passed over unparsed, since parsing is what takes the time.
    """
    draw = Draw(settings.seed, "harvest", source, "order")
    groups = [package_modules(package) for package in packages]
    if stdlib:
        groups.append(stdlib_modules())
    for file in in_turns(groups, draw):
        text = file.read()
        if not text or needle not in text:
            continue
        found = [d for d in documented_in(file, text) if _owner(d) == source and wanted(d)]
        for item in draw.sample(found, 5):
            yield item, Draw(settings.seed, "harvest", source, item.file.name, item.name)


def documented_in(file: SourceFile, text: str) -> list[Documented]:
    """The docstrings of a file's module, public classes, functions and methods."""
    tree = parse_python(text)
    if tree is None:
        return []
    module = _module_name(file.name)
    found = [(module, "module", module, ast.get_docstring(tree))]
    for node in tree.body:
        found += _definition(node, module, "function")
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for child in node.body:
                found += _definition(child, f"{module}.{node.name}", "method")
    return [
        Documented(name, kind, signature, doc, file)
        for name, kind, signature, doc in found
        if doc and "%(" not in doc and "{{" not in doc
    ]


def sections(doc: str) -> dict[str, str]:
    """A numpydoc docstring's sections by name; what comes before them is under ``""``."""
    parts = _SECTION.split(doc)
    named = dict(zip(parts[1::2], (p.strip("\n") for p in parts[2::2]), strict=True))
    return {"": parts[0].strip(), **named}


def parameters(section: str) -> list[Parameter]:
    """The entries of a Parameters section that have a description."""
    entries: list[tuple[str, str, list[str]]] = []
    for line in section.splitlines():
        head = _PARAMETER.match(line) if not line.startswith((" ", "\t")) else None
        if head:
            entries.append((head[1], head[2] or "", []))
        elif entries:
            entries[-1][2].append(line.strip())
    complete = [(n, t, "\n".join(body).strip()) for n, t, body in entries]
    return [Parameter(name, kind, body) for name, kind, body in complete if body]


def summary(doc: str) -> str:
    """The docstring's first paragraph on one line."""
    return " ".join(doc.strip().split("\n\n", 1)[0].split())


def _owner(item: Documented) -> str:
    return SHARERS[stable_hash("docstring", item.file.name, item.name) % len(SHARERS)]


def _module_name(file_name: str) -> str:
    parts = file_name.removesuffix(".py").split("/")
    # What a private module defines is used through the public package above it.
    public = list(takewhile(lambda part: not part.startswith("_"), parts))
    return ".".join(public or parts)


def _definition(node: ast.stmt, parent: str, kind: str) -> list[tuple[str, str, str, str | None]]:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return []
    if node.name.startswith("_"):
        return []
    if isinstance(node, ast.ClassDef):
        kind, signature = "class", node.name
    else:
        signature = f"{node.name}({_arguments(node)})"
    return [(f"{parent}.{node.name}", kind, signature, ast.get_docstring(node))]


def _arguments(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    plain = ast.unparse(node.args)
    return re.sub(r"^(?:self|cls)(?:, )?", "", plain)
