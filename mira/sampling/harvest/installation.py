"""Files of the Python installation: where they are, how they are named, under which licence."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from pathlib import Path

from mira.sampling.harvest.draw import Draw

STDLIB_LICENCE = "PSF-2.0"

# Import name -> distribution name. All are pinned by requirements.txt or required by what is.
PACKAGES = {
    "numpy": "numpy",
    "pandas": "pandas",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "matplotlib": "matplotlib",
    "networkx": "networkx",
    "sympy": "sympy",
    "transformers": "transformers",
    "sentence_transformers": "sentence-transformers",
    "huggingface_hub": "huggingface_hub",
    "pydantic": "pydantic",
    "snakemake": "snakemake",
    "aiohttp": "aiohttp",
    "joblib": "joblib",
    "jinja2": "Jinja2",
    "requests": "requests",
    "fontTools": "fonttools",
    "rich": "rich",
    "tqdm": "tqdm",
}

# Left out of the library's modules: tests, character tables, generated data, build settings
# (which hold this machine's paths) and what the distribution puts beside the library.
_NOT_MODULES = {"test", "tests", "idle_test", "site-packages", "dist-packages", "encodings"}
_NOT_MODULES |= {"pydoc_data", "__pycache__", "ensurepip", "_vendor"}
_GENERATED = re.compile(r"_sysconfigdata|^config-|__phello__")
_TEST_NAME = re.compile(r"^test_\w+\.py$")


@dataclass(frozen=True)
class SourceFile:
    """A file of the installation. ``name`` is its path below the library or site-packages."""

    path: Path
    name: str
    package: str
    licence: str | None

    def read(self) -> str | None:
        """The file's text; None when it is not UTF-8 or holds NUL characters."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            return None
        return None if "\0" in text else text

    @property
    def meta(self) -> dict[str, str | None]:
        """Origin, package and licence as a record's ``meta`` holds them."""
        return {"origin": self.name, "package": self.package, "licence": self.licence}


def stdlib_folder() -> Path:
    """Folder of the standard library."""
    return Path(sysconfig.get_paths()["stdlib"])


def hide_folders(text: str) -> str:
    """The text without the place where this machine keeps the standard library."""
    return text.replace(str(stdlib_folder()), "<python>")


@cache
def stdlib_modules() -> tuple[SourceFile, ...]:
    """The standard library's modules without tests and tables, sorted by name."""
    return tuple(f for f in _stdlib_files(stdlib_folder()) if not _parts(f) & _NOT_MODULES)


@cache
def stdlib_tests() -> tuple[SourceFile, ...]:
    """The standard library's own test modules; empty where the system does not ship them."""
    folder = stdlib_folder() / "test"
    return tuple(f for f in _stdlib_files(folder) if _TEST_NAME.match(f.path.name))


@cache
def package_modules(package: str) -> tuple[SourceFile, ...]:
    """A package's modules without its tests, sorted by name; empty when not installed."""
    return tuple(f for f in _package_files(package, ".py") if not _is_test(f))


@cache
def package_tests(package: str) -> tuple[SourceFile, ...]:
    """A package's test modules, sorted by name."""
    return tuple(f for f in _package_files(package, ".py") if _TEST_NAME.match(f.path.name))


def package_pages(package: str) -> list[SourceFile]:
    """The reStructuredText and Markdown files that a package ships, sorted by name."""
    return [*_package_files(package, ".rst"), *_package_files(package, ".md")]


def in_turns(groups: Iterable[Iterable[SourceFile]], draw: Draw) -> Iterator[SourceFile]:
    """Files of all groups, one of each group in turn, so that no large package takes all."""
    shuffled = [draw.shuffled(list(group)) for group in groups]
    for row in zip_longest(*shuffled):
        yield from (file for file in row if file is not None)


@cache
def licence_of(distribution: str) -> str | None:
    """A distribution's licence as its metadata gives it in a few words, if it does."""
    try:
        metadata = importlib.metadata.metadata(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
    classifiers = [c for c in metadata.get_all("Classifier") or () if c.startswith("License ::")]
    stated = [*(metadata.get_all("License-Expression") or ()), *(metadata.get_all("License") or ())]
    stated += [c.rsplit(" :: ", 1)[-1] for c in classifiers]
    short = [value.strip() for value in stated if value and len(value.strip()) <= 80]
    return short[0] if short else None


def _stdlib_files(folder: Path) -> Iterator[SourceFile]:
    root = stdlib_folder()
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        if not _GENERATED.search(name) and not name.startswith(("site-packages", "dist-packages")):
            yield SourceFile(path, name, "stdlib", STDLIB_LICENCE)


def _package_files(package: str, suffix: str) -> Iterator[SourceFile]:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return
    folder = Path(spec.submodule_search_locations[0])
    licence = licence_of(PACKAGES.get(package, package))
    for path in sorted(folder.rglob(f"*{suffix}")):
        name = path.relative_to(folder.parent).as_posix()
        yield SourceFile(path, name, package, licence)


def _parts(file: SourceFile) -> set[str]:
    return set(file.name.split("/"))


def _is_test(file: SourceFile) -> bool:
    name = file.path.name
    return bool(_parts(file) & {"tests", "test", "testing"}) or name.startswith(
        ("test_", "conftest")
    )
