"""An agent that repairs a planted bug until the doctest of its file passes."""

from __future__ import annotations

import doctest
import io
from collections.abc import Iterator
from types import FunctionType

from mira.sampling.harvest.agent_scripts import Call, Script, Stage, Step, play_all
from mira.sampling.harvest.agent_tools import Tool, Toolbox, ToolError
from mira.sampling.harvest.base import Draft, HarvestSettings
from mira.sampling.harvest.bugs import Bug, Buggy
from mira.sampling.harvest.bugs_in_numbers import NUMBER_FUNCTIONS
from mira.sampling.harvest.bugs_in_text import TEXT_FUNCTIONS
from mira.sampling.harvest.draw import Draw
from mira.sampling.harvest.installation import hide_folders

BUGGY = (*NUMBER_FUNCTIONS, *TEXT_FUNCTIONS)

_TASKS = (
    "The doctest of {file} fails. Please repair the function.",
    "`{name}` in {file} gives wrong results. Fix it so that its doctest passes.",
    "Users report a bug in `{name}` ({file}). Find it, repair it, and run the tests again.",
    "Make the examples in the docstring of `{name}` true. The file is {file}.",
    "There is exactly one mistake in {file}. Correct it.",
)
_SYSTEMS = (
    "You repair Python files. Tools: {tools}.",
    "You are a careful maintainer. Change as little as possible. Tools: {tools}.",
    "Work on the files with these tools: {tools}. Report what you changed.",
)
_FILES = ("tools.py", "helpers.py", "solution.py", "core.py", "functions.py", "{name}.py")
_COMMENTS = ("", "", "# Part of the toolkit.\n\n", "# See the docstring for examples.\n\n")


class Workspace:
    """Files in memory, with tools to read, edit and test them."""

    def __init__(self, files: dict[str, str]) -> None:
        self.files = dict(files)

    def list_files(self) -> str:
        """Names of the files."""
        return "\n".join(sorted(self.files))

    def read_file(self, path: str) -> str:
        """A file's text."""
        if path not in self.files:
            raise ToolError(f"no such file: {path}")
        return self.files[path]

    def run_doctest(self, path: str) -> str:
        """What doctest reports for a file."""
        return doctest_report(self.read_file(path), path)

    def replace(self, path: str, old: str, new: str) -> str:
        """Replace text that occurs exactly once."""
        text = self.read_file(path)
        if text.count(old) != 1:
            raise ToolError(f"'old' must occur exactly once in {path}, found {text.count(old)}")
        self.files[path] = text.replace(old, new)
        return f"replaced 1 occurrence in {path}"

    def toolbox(self) -> Toolbox:
        """The tools an agent gets."""
        one_path = {"path": "string"}
        edit = {"path": "string", "old": "string", "new": "string"}
        return Toolbox(
            (
                Tool("list_files", "List the files.", {}, self.list_files),
                Tool("read_file", "Show a file.", one_path, self.read_file),
                Tool("run_doctest", "Run the doctests of a file.", one_path, self.run_doctest),
                Tool("replace", "Replace text that occurs once.", edit, self.replace),
            )
        )


def doctest_report(source: str, path: str) -> str:
    """Run the doctests of a file of this package's own in this process; the report's text."""
    namespace: dict[str, object] = {"__name__": path.removesuffix(".py")}
    try:
        exec(compile(source, path, "exec"), namespace)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    runner = doctest.DocTestRunner(verbose=False)
    report = io.StringIO()
    for name, value in list(namespace.items()):
        doc = getattr(value, "__doc__", None)
        if isinstance(value, FunctionType) and doc:
            line = value.__code__.co_firstlineno  # the docstring is on the next line
            test = doctest.DocTestParser().get_doctest(doc, dict(namespace), name, path, line)
            runner.run(test, out=report.write)
    failed, tried = runner.failures, runner.tries
    verdict = f"***Test Failed*** {failed} failures." if failed else f"{tried} passed."
    return hide_folders(f"{report.getvalue()}{verdict}")


def bug_repairer(settings: HarvestSettings) -> Iterator[Draft]:
    """Every function with every one of its bugs in turn (ours)."""
    pairs = [(item, number) for item in BUGGY for number in range(len(item.bugs))]
    order = Draw(settings.seed, "harvest", "bug_repairer", "order").shuffled(pairs)

    def prepare(draw: Draw, index: int) -> Stage:
        template, number = order[index % len(order)]
        item = template.filled(draw)
        bug = item.bugs[number]
        old, _ = broken_lines(item, bug)
        file = draw.pick(_FILES).format(name=item.name)
        broken = draw.pick(_COMMENTS) + item.source.replace(bug.right, bug.wrong)
        other = draw.pick([b for b in BUGGY if b.name != item.name]).filled(draw)
        # A sound second function makes the place of the bug less obvious.
        if draw.chance(0.4) and old not in other.source:
            broken += f"\n\n{other.source}"
        workspace = Workspace({file: broken, "README.txt": f"{file}: small functions.\n"})
        toolbox = workspace.toolbox()
        signatures = ", ".join(tool.signature for tool in toolbox.tools.values())
        system = draw.pick(_SYSTEMS).format(tools=signatures) if draw.chance(0.8) else ""
        return Stage(toolbox, system, _script(item, bug, file, broken, draw))

    yield from play_all("bug_repairer", settings, prepare)


def broken_lines(item: Buggy, bug: Bug) -> tuple[str, str]:
    """The lines that the bug changes: as they are in the broken source, and as they should be."""
    sound = item.source.splitlines()
    broken = item.source.replace(bug.right, bug.wrong).splitlines()
    first = next(i for i, (a, b) in enumerate(zip(sound, broken, strict=False)) if a != b)
    tail = 0
    while sound[-1 - tail] == broken[-1 - tail]:
        tail += 1
    # A removed line leaves nothing to replace, so the line after it is taken along.
    tail -= first + tail >= len(broken)
    return (
        "\n".join(broken[first : len(broken) - tail]),
        "\n".join(sound[first : len(sound) - tail]),
    )


def _script(item: Buggy, bug: Bug, file: str, broken: str, draw: Draw) -> Script:
    old, new = broken_lines(item, bug)
    hasty = _hasty(item, old, new, broken, draw)
    repair = Step(
        Call("replace", {"path": file, "old": hasty or old, "new": new}),
        bug.why,
        Call("replace", {"path": file, "old": f"{old}  # bug", "new": new}),
        "The text to replace must be exactly as it stands in the file.",
    )
    final = Step(Call("run_doctest", {"path": file}), "And the tests once more.")
    attempt = []
    if hasty:
        attempt = [
            Step(Call("replace", {"path": file, "old": old, "new": hasty}), "Perhaps like this."),
            Step(Call("run_doctest", {"path": file}), "Did that help?"),
        ]
    before, after = old.strip(), new.strip()
    return Script(
        item.name,
        draw.pick(_TASKS).format(file=file, name=item.name),
        [*_first_look(file, draw), *attempt, repair, final],
        draw.pick(
            (
                f"`{item.name}` is repaired: `{before}` became `{after}`. {bug.why}",
                f"Fixed. It said `{before}`; it is now `{after}`.",
                f"{bug.why} So I replaced `{before}` with `{after}`.",
            )
        ),
        f"after the change doctest reports: {doctest_report(broken.replace(old, new), file)}",
        draw.pick(
            (
                f"I repaired `{item.name}`; all tests pass now.",
                f"`{item.name}` was fine; the docstring is wrong.",
                "The bug is fixed.",
            )
        ),
        draw.pick(("Plan: reproduce, find the line, change it, test again.", "Reproduce first.")),
    )


def _first_look(file: str, draw: Draw) -> list[Step]:
    read = Step(
        Call("read_file", {"path": file}),
        f"I read {file}.",
        Call("read_file", {"path": f"src/{file}"}),
        "There is no src folder here.",
    )
    test = Step(
        Call("run_doctest", {"path": file}),
        "Let me see what fails.",
        Call("run_doctest", {"path": file, "verbose": True}),
    )
    steps = list(draw.pick(([read, test], [test, read], [test, read], [read])))
    return [Step(Call("list_files", {}), "What is there?"), *steps] if draw.chance(0.2) else steps


def _hasty(item: Buggy, old: str, new: str, broken: str, draw: Draw) -> str:
    """A wrong repair of the same lines, to be tried before the right one; often none."""
    others = []
    for bug in item.bugs:
        candidate, sound = broken_lines(item, bug)
        unique = broken.replace(old, candidate).count(candidate) == 1
        if sound == new and candidate != old and unique:
            others.append(candidate)
    return draw.pick(others) if others and draw.chance(0.35) else ""
