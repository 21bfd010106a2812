"""A copy of pure-Python packages in a temporary folder, and shell-like tools that stay in it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from mira.sampling.harvest.agent_tools import Tool, Toolbox, ToolError
from mira.sampling.harvest.installation import STDLIB_LICENCE, licence_of, package_modules
from mira.sampling.harvest.installation import stdlib_modules as stdlib_files

_STDLIB_NAMES = (
    "json email html http urllib logging unittest xml concurrent asyncio collections importlib "
    "wsgiref xmlrpc multiprocessing sqlite3 tomllib zoneinfo dbm re curses"
)
STDLIB_PACKAGES = tuple(_STDLIB_NAMES.split())
SITE_PACKAGES = ("requests", "jinja2", "joblib", "rich", "tqdm")

_MAX_LINES = 60
_MAX_CHARS = 3000


class Sandbox:
    """Files below one folder. Paths are relative to it, and cannot leave it."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def list_dir(self, path: str) -> str:
        """Names in a folder, one a line; folders end in a slash."""
        folder = self._inside(path)
        if not folder.is_dir():
            raise ToolError(f"not a directory: {path}")
        names = sorted(f"{p.name}/" if p.is_dir() else p.name for p in folder.iterdir())
        return _capped(names)

    def read_file(self, path: str, start: int = 1, end: int = 40) -> str:
        """Lines ``start`` to ``end`` of a file, numbered from 1."""
        lines = self.lines(path)
        if not 1 <= start <= len(lines):
            raise ToolError(f"start line {start} is outside 1..{len(lines)} of {path}")
        return _capped([f"{i}: {lines[i - 1]}" for i in range(start, min(end, len(lines)) + 1)])

    def grep(self, pattern: str, path: str) -> str:
        """Matching lines as ``file:line: text``, over all Python files below the path."""
        try:
            matches = self.matches(pattern, path)
        except re.error as error:
            raise ToolError(f"bad pattern: {error}") from None
        return _capped([f"{p}:{n}: {text.strip()}" for p, n, text in matches]) or "(no matches)"

    def count_lines(self, path: str) -> str:
        """Number of lines of a file."""
        return f"{len(self.lines(path))} {path}"

    def find_files(self, name: str, path: str) -> str:
        """Files below the path whose name matches a shell pattern."""
        found = [self._relative(p) for p in sorted(self._inside(path).rglob(name))]
        return _capped(found) or "(no files)"

    def matches(self, pattern: str, path: str) -> list[tuple[str, int, str]]:
        """File, line number and text of every matching line."""
        regex = re.compile(pattern)
        return [
            (file, number, text)
            for file in self.files(path)
            for number, text in enumerate(self.lines(file), 1)
            if regex.search(text)
        ]

    def files(self, path: str) -> list[str]:
        """Python files at or below the path, sorted."""
        start = self._inside(path)
        found = [start] if start.is_file() else sorted(start.rglob("*.py"))
        return [self._relative(p) for p in found]

    def lines(self, path: str) -> list[str]:
        """A file's lines."""
        file = self._inside(path)
        if not file.is_file():
            raise ToolError(f"no such file: {path}")
        return file.read_text("utf-8").splitlines()

    def _inside(self, path: str) -> Path:
        target = (self.root / path).resolve()
        if not target.is_relative_to(self.root):
            raise ToolError(f"path is outside the sandbox: {path}")
        if not target.exists():
            raise ToolError(f"no such file or directory: {path}")
        return target

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def toolbox(self) -> Toolbox:
        """The tools an agent gets."""
        tools = (
            Tool("list_dir", "List a folder.", {"path": "string"}, self.list_dir),
            Tool(
                "read_file",
                "Show numbered lines of a file (40 lines unless told otherwise).",
                {"path": "string", "start": "integer", "end": "integer"},
                self.read_file,
                frozenset({"start", "end"}),
            ),
            Tool(
                "grep",
                "Search Python files with a regular expression.",
                {"pattern": "string", "path": "string"},
                self.grep,
            ),
            Tool("count_lines", "Count the lines of a file.", {"path": "string"}, self.count_lines),
            Tool(
                "find_files",
                "Find files by shell pattern.",
                {"name": "string", "path": "string"},
                self.find_files,
            ),
        )
        return Toolbox(tools)


@contextmanager
def copied_packages() -> Iterator[tuple[Sandbox, dict[str, str | None]]]:
    """A sandbox with the packages, and each package's licence; removed afterwards."""
    with TemporaryDirectory(prefix="mira-") as folder:
        root = Path(folder)
        licences: dict[str, str | None] = {}
        files = [f for f in stdlib_files() if f.name.split("/")[0] in STDLIB_PACKAGES]
        files += [f for package in SITE_PACKAGES for f in package_modules(package)]
        for file in files:
            if "/" not in file.name or not file.read():
                continue
            target = root / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.path, target)
            top = file.name.split("/")[0]
            licences[top] = STDLIB_LICENCE if file.package == "stdlib" else licence_of(top)
        yield Sandbox(root), licences


def _capped(lines: list[str]) -> str:
    kept, size = [], 0
    for line in lines[:_MAX_LINES]:
        size += len(line) + 1
        if size > _MAX_CHARS:
            break
        kept.append(line)
    left = len(lines) - len(kept)
    return "\n".join(kept + ([f"... ({left} more lines)"] if left else []))
