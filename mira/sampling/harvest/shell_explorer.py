"""An agent that answers questions about a package by looking into its files."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

from mira.sampling.harvest.agent_scripts import Call, Script, Stage, Step, play_all
from mira.sampling.harvest.base import Draft, HarvestSettings
from mira.sampling.harvest.draw import Draw
from mira.sampling.harvest.pieces import parse_python
from mira.sampling.harvest.sandbox import Sandbox, copied_packages

_SYSTEMS = (
    "You explore a folder of Python packages with the tools below. Paths are relative.\n{tools}",
    "You are a code search assistant. Answer from the files, not from memory.\nTools:\n{tools}",
    "You have read-only access to source code through these tools:\n{tools}\nBe brief.",
)

Planner = Callable[[Sandbox, str, Draw], "Script | None"]


def shell_explorer(settings: HarvestSettings) -> Iterator[Draft]:
    """Questions of all kinds over all packages, answered in a copy of their files (ours)."""
    with copied_packages() as (sandbox, licences):
        packages = sorted(licences)

        def prepare(draw: Draw, index: int) -> Stage:
            script = None
            while script is None:
                package = draw.pick(packages)
                script = draw.pick(PLANNERS)(sandbox, package, draw)
            toolbox = sandbox.toolbox()
            listed = draw.shuffled([*toolbox.tools.values()])
            tools = "\n".join(f"- {t.signature}: {t.description}" for t in listed)
            system = draw.pick(_SYSTEMS).format(tools=tools) if draw.chance(0.85) else ""
            return Stage(toolbox, system, script, licences[package])

        yield from play_all("shell_explorer", settings, prepare)


def locate(sandbox: Sandbox, package: str, draw: Draw) -> Script | None:
    """Where is a function or class defined?"""
    found = sandbox.matches(r"^\s*(def|class) [A-Za-z]\w+", package)
    if not found:
        return None
    path, line, text = draw.pick(found)
    word, name = _definition(text)
    pattern = rf"{word} {name}\b"
    hits = sandbox.matches(pattern, package)
    path, line, _ = hits[0]
    more = f" (and {len(hits) - 1} more of that name)" if len(hits) > 1 else ""
    wrong = draw.pick(sandbox.files(package))
    return Script(
        "locate",
        draw.pick(
            (
                f"Where in the package `{package}` is `{name}` defined?",
                f"Find the definition of `{name}` in {package} and tell me file and line.",
                f"Which file of `{package}` has `{word} {name}`, and on which line?",
            )
        ),
        [
            Step(
                Call("grep", {"pattern": pattern, "path": package}),
                f"I search for the line that starts the definition of {name}.",
                Call("grep", {"pattern": f"({word} {name}", "path": package}),
            ),
            Step(
                Call("read_file", {"path": path, "start": line, "end": line + draw.whole(5, 25)}),
                "I read the place to be sure.",
                Call("read_file", {"path": path.rpartition("/")[2], "start": line}),
                "The path must begin with the package folder.",
            ),
        ],
        f"`{name}` is defined in {path}, line {line}{more}.",
        f"the search shows `{path}:{line}: {_line(sandbox, path, line)}`.",
        f"`{name}` is defined in {wrong}, line {draw.whole(1, 300)}.",
        "Plan: search for the definition, then read it.",
        path,
    )


def longest(sandbox: Sandbox, package: str, draw: Draw) -> Script | None:
    """Which of some modules is the longest?"""
    files = [f for f in sandbox.files(package) if f.count("/") == 1 and len(sandbox.lines(f)) > 5]
    if len(files) < 3:
        return None
    chosen = sorted(draw.sample(files, draw.whole(3, 5)))
    sizes = {file: len(sandbox.lines(file)) for file in chosen}
    best = max(sizes, key=lambda f: sizes[f])
    names = [f.rpartition("/")[2] for f in chosen]
    steps = [
        Step(
            Call("list_dir", {"path": package}),
            "First I look at what is there.",
            Call("list_dir", {"path": f"{package}/src"}),
            "There is no such folder; the modules lie in the package itself.",
        )
    ]
    for file in chosen:
        slip = Call("count_lines", {"file": file})
        steps.append(Step(Call("count_lines", {"path": file}), f"Count {file}.", slip))
    listed = ", ".join(f"{f.rpartition('/')[2]} {n}" for f, n in sizes.items())
    return Script(
        "longest",
        draw.pick(
            (
                f"Which of these modules of `{package}` has the most lines: {', '.join(names)}?",
                f"Compare the length of {', '.join(names)} in {package}. Which is the longest?",
            )
        ),
        steps,
        f"{best.rpartition('/')[2]} is the longest with {sizes[best]} lines.",
        f"the line counts ({listed}).",
        f"{draw.pick(names)} is the longest, with about {draw.whole(1, 30) * 100} lines.",
        "I will count the lines of each and compare.",
        package,
    )


def importers(sandbox: Sandbox, package: str, draw: Draw) -> Script | None:
    """Which files import a module?"""
    lines = sandbox.matches(r"^(import|from) [a-z]\w+", package)
    if not lines:
        return None
    module = draw.pick(lines)[2].split()[1].split(".")[0].rstrip(",;")
    pattern = rf"^(import|from) {module}\b"
    hits = sandbox.matches(pattern, package)
    files = sorted({path for path, _, _ in hits})
    if not files or len(files) > 25:
        return None
    return Script(
        "importers",
        draw.pick(
            (
                f"Which modules of `{package}` import `{module}` at top level?",
                f"List the files in {package} that have a top-level import of `{module}`.",
                f"I want to remove the dependency on `{module}` from `{package}`. Which files "
                f"import it (unindented imports only)?",
            )
        ),
        [
            Step(
                Call("find_files", {"name": "*.py", "path": package}),
                "An overview of the files first.",
                Call("find_files", {"name": "*.py", "path": f"./{package}/lib"}),
            ),
            Step(
                Call("grep", {"pattern": pattern, "path": package}),
                "Imports stand at the start of a line, so I anchor the pattern.",
                Call("grep", {"pattern": f"^(import|from {module}", "path": package}),
                "The bracket was not closed.",
            ),
        ],
        f"{len(files)} file(s) import `{module}`: {', '.join(files)}.",
        f"grep for `{pattern}` gives {len(hits)} matching line(s), the first in {files[0]}.",
        f"Only {package}/__init__.py imports `{module}`.",
        "List the files, then search for imports.",
        package,
    )


def methods(sandbox: Sandbox, package: str, draw: Draw) -> Script | None:
    """Which methods does a class have?"""
    found = sandbox.matches(r"^class [A-Za-z]\w+", package)
    if not found:
        return None
    path, line, text = draw.pick(found)
    name = _definition(text)[1]
    tree = parse_python("\n".join(sandbox.lines(path)))
    defined = [node for node in (tree.body if tree else []) if isinstance(node, ast.ClassDef)]
    classes = [node for node in defined if node.name == name]
    if len(classes) != 1:
        return None
    own = [n.name for n in classes[0].body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    own = list(dict.fromkeys(own))
    end = classes[0].end_lineno or line
    if not 1 <= len(own) <= 12 or end - line > 150:
        return None
    cuts = range(line, end + 1, 55)
    steps = [
        Step(
            Call("grep", {"pattern": f"^class {name}\\b", "path": package}),
            f"I look for the class {name}.",
            Call("grep", {"pattern": f"^class {name}\\b", "path": f"{package}.py"}),
        )
    ]
    for start in cuts:
        steps.append(
            Step(
                Call("read_file", {"path": path, "start": start, "end": min(start + 54, end)}),
                "I read the body of the class.",
                Call("read_file", {"path": path, "start": 100_000 + start}),
                "That is past the end of the file; the class starts much earlier.",
            )
        )
    return Script(
        "methods",
        draw.pick(
            (
                f"Which methods does the class `{name}` in `{package}` define itself?",
                f"List the methods of `{package}`'s class `{name}` (not the inherited ones).",
            )
        ),
        steps,
        f"`{name}` defines {len(own)} method(s): {', '.join(own)}.",
        f"the class body, lines {line} to {end} of {path}.",
        f"`{name}` defines __init__, run, close and __repr__.",
        "Find the class, read it to its end, list the `def` lines.",
        path,
    )


def constant(sandbox: Sandbox, package: str, draw: Draw) -> Script | None:
    """What value does a module constant have?"""
    found = sandbox.matches(r"^_?[A-Z][A-Z_]{3,} = [^\s({\[].*[^\\,(\[{]$", package)
    if not found:
        return None
    path, line, text = draw.pick(found)
    name, _, value = text.partition(" = ")
    return Script(
        "constant",
        draw.pick(
            (
                f"What is the value of the constant `{name}` in `{package}`?",
                f"Look up `{name}` in the sources of {package}.",
            )
        ),
        [
            Step(
                Call("grep", {"pattern": rf"^{name}\b", "path": package}),
                "The assignment stands at the start of a line.",
                Call("grep", {"pattern": rf"^{name}\b"}),
            ),
            Step(
                Call("read_file", {"path": path, "start": max(1, line - 3), "end": line + 3}),
                "I look at the lines around it, in case it is set twice.",
                Call("read_file", {"path": path.replace(".py", ""), "start": line}),
            ),
        ],
        f"`{name}` is set to `{value.strip()}` ({path}, line {line}).",
        f"line {line} of {path}, which reads `{text.strip()}`.",
        f"`{name}` is {draw.whole(1, 64)}.",
        "Search for the assignment and read around it.",
        path,
    )


def raising(sandbox: Sandbox, package: str, draw: Draw) -> Script | None:
    """How often does a file raise an exception?"""
    found = sandbox.matches(r"^\s+raise [A-Z]\w+", package)
    if not found:
        return None
    path, _, text = draw.pick(found)
    match = re.search(r"raise ([A-Z]\w+)", text)
    error = match[1] if match else "ValueError"
    pattern = rf"raise {error}\b"
    hits = sandbox.matches(pattern, path)
    first = hits[0][1]
    return Script(
        "raising",
        draw.pick(
            (
                f"How many lines of {path} raise `{error}`?",
                f"Count the places where {path} raises `{error}`, and show me the first.",
            )
        ),
        [
            Step(
                Call("grep", {"pattern": pattern, "path": path}),
                f"I search for `raise {error}`.",
                Call("grep", {"pattern": pattern, "path": path.rpartition("/")[2]}),
                "I forgot the folder.",
            ),
            Step(
                Call("read_file", {"path": path, "start": max(1, first - 8), "end": first + 3}),
                "Now the first place with what leads to it.",
            ),
        ],
        f"{path} raises `{error}` on {len(hits)} line(s), first on line {first}.",
        f"grep lists line(s) {', '.join(str(n) for _, n, _ in hits[:12])}.",
        f"{path} raises `{error}` {draw.whole(2, 20)} times.",
        "One search gives the count; then I read the first hit.",
        path,
    )


def purpose(sandbox: Sandbox, package: str, draw: Draw) -> Script | None:
    """What is a module for?"""
    path = draw.pick(sandbox.files(package))
    tree = parse_python("\n".join(sandbox.lines(path)))
    doc = ast.get_docstring(tree) if tree else None
    if not tree or not doc:
        return None
    first = " ".join(doc.split("\n\n")[0].split())
    defined = [n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    public = [name for name in defined if not name.startswith("_")]
    pattern = r"^(def|class) [A-Za-z]"
    names = ", ".join(f"`{name}`" for name in public[:8]) or "no public functions or classes"
    return Script(
        "purpose",
        draw.pick(
            (
                f"What is {path} for, and what does it define?",
                f"Give me a summary of the module {path}.",
                f"I have to change {path}. Tell me what the module does and its main names.",
            )
        ),
        [
            Step(
                Call("read_file", {"path": path, "start": 1, "end": draw.whole(15, 50)}),
                "The head of the file should tell.",
                Call("read_file", {"path": path, "start": 0}),
                "Lines are numbered from 1.",
            ),
            Step(
                Call("grep", {"pattern": pattern, "path": path}),
                "Then the top-level definitions.",
                Call("grep", {"regex": pattern, "path": path}),
            ),
        ],
        f"{first} It defines {names}" + (" and more." if len(public) > 8 else "."),
        f"the docstring at the top of {path} and its {len(public)} public definition(s).",
        f"{path} holds helper functions for the rest of {package}.",
        "Read the docstring, then list the definitions.",
        path,
    )


PLANNERS: tuple[Planner, ...] = (locate, longest, importers, methods, constant, raising, purpose)


def _definition(text: str) -> tuple[str, str]:
    match = re.search(r"(def|class) (\w+)", text)
    return (match[1], match[2]) if match else ("def", text)


def _line(sandbox: Sandbox, path: str, line: int) -> str:
    return sandbox.lines(path)[line - 1].strip()
