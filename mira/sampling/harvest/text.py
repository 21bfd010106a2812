"""Documents of the installation: modules, tests, READMEs and library prose."""

from __future__ import annotations

import ast
import importlib.metadata
from collections.abc import Iterable, Iterator

from mira.sampling.harvest.base import Draft, Harvester, HarvestSettings, make_harvester
from mira.sampling.harvest.docstrings import NUMPYDOC_PACKAGES, Documented, documented_for
from mira.sampling.harvest.draw import Draw
from mira.sampling.harvest.installation import (
    PACKAGES,
    STDLIB_LICENCE,
    SourceFile,
    in_turns,
    licence_of,
    package_modules,
    package_pages,
    package_tests,
    stdlib_folder,
    stdlib_modules,
    stdlib_tests,
)
from mira.sampling.harvest.pages import html_pages
from mira.sampling.harvest.pieces import code_pieces, prose_pieces, shorten

# Log-uniform range of the length, in characters, at which a piece of a file is cut.
_CODE_LENGTHS = (350, 7000)
_PROSE_LENGTHS = (400, 6000)


def _code(source: str, files: Iterable[SourceFile], settings: HarvestSettings) -> Iterator[Draft]:
    for file in files:
        draw = Draw(settings.seed, "harvest", source, file.name)
        text = file.read()
        if not text:
            continue
        target = draw.length(*_CODE_LENGTHS)
        pieces = code_pieces(text, target, settings.max_chars)
        long_enough = [p for p in pieces if len(p) >= max(settings.min_chars, target // 3)]
        for piece in draw.sample(long_enough, 2):
            kind = "module" if len(pieces) == 1 else "definitions"
            yield Draft(piece, {**file.meta, "kind": kind})


def _stdlib_modules(settings: HarvestSettings) -> Iterator[Draft]:
    draw = Draw(settings.seed, "harvest", "stdlib_modules", "order")
    return _code("stdlib_modules", in_turns([stdlib_modules()], draw), settings)


def _package_modules(settings: HarvestSettings) -> Iterator[Draft]:
    draw = Draw(settings.seed, "harvest", "package_modules", "order")
    files = in_turns([package_modules(package) for package in PACKAGES], draw)
    return _code("package_modules", files, settings)


def _test_files(settings: HarvestSettings) -> Iterator[Draft]:
    draw = Draw(settings.seed, "harvest", "test_files", "order")
    groups = [stdlib_tests(), *(package_tests(package) for package in PACKAGES)]
    return _code("test_files", in_turns(groups, draw), settings)


def _package_readmes(settings: HarvestSettings) -> Iterator[Draft]:
    draw = Draw(settings.seed, "harvest", "package_readmes", "order")
    drafts: list[Draft] = []
    for name, licence, text in _descriptions():
        meta = {"origin": f"{name} metadata", "package": name, "licence": licence}
        target = Draw(settings.seed, "harvest", "package_readmes", name).length(*_PROSE_LENGTHS)
        for piece in prose_pieces(text, target, settings.max_chars):
            drafts.append(Draft(piece, {**meta, "kind": "description"}))
    return iter(draw.shuffled(drafts))


def _descriptions() -> list[tuple[str, str | None, str]]:
    """Name, licence and long description of every installed distribution but mira, by name."""
    found: dict[str, tuple[str, str | None, str]] = {}
    for distribution in importlib.metadata.distributions():
        metadata = distribution.metadata
        name = metadata["Name"]
        text = metadata.json.get("description") or ""
        if name and name.lower() not in ("mira", *found) and isinstance(text, str):
            found[name.lower()] = (name, licence_of(name), text.strip())
    return [found[key] for key in sorted(found)]


def _library_docs(settings: HarvestSettings) -> Iterator[Draft]:
    source = "library_docs"
    draw = Draw(settings.seed, "harvest", source, "pages")
    pages = draw.shuffled([*_shipped_pages(settings), *_language_topics(settings)])
    packages = (*NUMPYDOC_PACKAGES, "sympy", "aiohttp", "pydantic", "joblib")
    for item, _ in documented_for(source, settings, packages, _is_page):
        text = f"{item.name}\n{'=' * len(item.name)}\n\n{item.doc}"
        yield Draft(shorten(text, settings.max_chars), item.meta)
        if pages:
            yield pages.pop()
    yield from pages


def _is_page(item: Documented) -> bool:
    """Function docs are left to the question sources, and short docs say little alone."""
    return item.kind in ("module", "class") and len(item.doc) >= 500


def _shipped_pages(settings: HarvestSettings) -> Iterator[Draft]:
    for package in PACKAGES:
        for file in package_pages(package):
            text = file.read()
            if text and "LICENSE" not in file.name:
                draw = Draw(settings.seed, "harvest", "library_docs", file.name)
                target = draw.length(*_PROSE_LENGTHS)
                for piece in prose_pieces(text, target, settings.max_chars):
                    yield Draft(piece, {**file.meta, "kind": "page"})


def _language_topics(settings: HarvestSettings) -> Iterator[Draft]:
    """Pages of the language reference that the standard library ships as pydoc topics."""
    name = "pydoc_data/topics.py"
    path = stdlib_folder() / name
    if not path.is_file():
        return
    (table,) = [
        node for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, ast.Assign)
    ]
    meta = {"origin": name, "package": "stdlib", "licence": STDLIB_LICENCE, "kind": "topic"}
    for topic, text in sorted(ast.literal_eval(table.value).items()):
        yield Draft(shorten(text.strip(), settings.max_chars), {**meta, "name": topic})


TEXT_HARVESTERS: tuple[Harvester, ...] = (
    make_harvester(
        "stdlib_modules",
        "text",
        "Python source of the standard library, cut between top-level definitions.",
        _stdlib_modules,
    ),
    make_harvester(
        "package_modules",
        "text",
        "Python source of installed packages, cut between top-level definitions.",
        _package_modules,
    ),
    make_harvester(
        "test_files",
        "text",
        "Test modules of the standard library and of installed packages.",
        _test_files,
    ),
    make_harvester(
        "html_pages",
        "text",
        "HTML pages that pydoc renders for classes and modules of the standard library.",
        html_pages,
    ),
    make_harvester(
        "package_readmes",
        "text",
        "Long descriptions and changelogs in the metadata of installed distributions.",
        _package_readmes,
    ),
    make_harvester(
        "library_docs",
        "text",
        "Module and class documentation, shipped pages and language reference topics.",
        _library_docs,
    ),
)
