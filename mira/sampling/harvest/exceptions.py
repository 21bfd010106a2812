"""Questions about tracebacks of programs that were really run, with repairs that were, too."""

from __future__ import annotations

import contextlib
import io
import linecache
import string
import textwrap
import traceback
from collections.abc import Iterator
from dataclasses import dataclass

from mira.sampling.harvest.base import Draft, HarvestSettings, attempts, conversation
from mira.sampling.harvest.draw import Draw
from mira.sampling.harvest.failures import FAILURES, VOCABULARY, Failure
from mira.sampling.harvest.installation import hide_folders

_QUESTIONS = (
    "This program stops with an error. What is wrong?\n\n{code}\n\n{trace}",
    "Why do I get {article} {error} here?\n\n{code}\n\nThe message is:\n\n{trace}",
    "{trace}\n\nThat is what I get from this:\n\n{code}\n\nHow do I fix it?",
    "Explain this traceback, please.\n\n{trace}\n\nThe code is\n\n{code}",
    "I expected a number to be printed, but my script fails.\n\n{code}\n\n{trace}",
    "Can you debug this for me?\n\n{code}\n\nOutput:\n\n{trace}",
)
_CAUSES = (
    "The {error} comes from line {line}: `{source}`. {cause}",
    "{cause} That is why line {line} (`{source}`) raises {error}.",
    "Python says `{message}`. {cause}",
    "{cause}",
    "Read the traceback from its last line: `{message}`. It happened at `{source}`. {cause}",
)
_FIXES = ("{fix}", "To repair it: {lower}", "**Fix.** {fix}", "What to do: {lower}")


@dataclass(frozen=True)
class Outcome:
    """What a program printed, and the exception it ended with, if any."""

    printed: str
    error: str = ""
    message: str = ""
    line: int = 0
    trace: str = ""


def exceptions_explained(settings: HarvestSettings) -> Iterator[Draft]:
    """Each failure in turn under drawn names; both programs are run for every record (ours)."""
    for index in attempts(settings):
        draw = Draw(settings.seed, "harvest", "exceptions_explained", index)
        failure = fill(FAILURES[index % len(FAILURES)], draw)
        broken, fixed = failure.broken, failure.fixed
        if draw.chance(0.35):
            broken, fixed = _in_main(broken), _in_main(fixed)
        file = draw.pick(("example.py", "script.py", "main.py", "demo.py", "report.py"))
        failed, repaired = run_program(broken, file), run_program(fixed, file)
        if failed.error != failure.error or repaired.error:
            raise AssertionError(f"expected {failure.error} once, got {failed} and {repaired}")
        meta = {"origin": "generated:failures", "kind": failed.error, "licence": None}
        question = _ask(broken, failed, draw)
        yield Draft(
            conversation(question, _explain(failure, broken, fixed, failed, repaired, draw)), meta
        )


def fill(failure: Failure, draw: Draw) -> Failure:
    """The failure with every ``$name`` replaced by a drawn word, the same one everywhere."""
    words = {name: draw.pick(options) for name, options in VOCABULARY.items()}

    def filled(text: str) -> str:
        return string.Template(text).substitute(words)

    return Failure(
        failure.error,
        filled(failure.broken),
        filled(failure.fixed),
        filled(failure.cause),
        filled(failure.fix),
    )


def run_program(code: str, file: str) -> Outcome:
    """Run a program of this package's own in this process, and record how it ended (ours)."""
    printed = io.StringIO()
    lines = f"{code}\n".splitlines(keepends=True)
    linecache.cache[file] = (len(code), None, lines, file)
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(code, file, "exec"), {"__name__": "__main__"})
    except Exception as error:
        frames = traceback.TracebackException.from_exception(error)
        # The first frame is this function; library frames carry this machine's paths.
        frames.stack = traceback.StackSummary.from_list(
            [f for f in frames.stack if f.filename == file]
        )
        trace = hide_folders("".join(frames.format()).rstrip("\n"))
        message = hide_folders("".join(traceback.format_exception_only(error)).strip())
        line = frames.stack[-1].lineno or 0
        return Outcome(printed.getvalue(), type(error).__name__, message, line, trace)
    finally:
        linecache.cache.pop(file, None)
    return Outcome(printed.getvalue())


def _in_main(code: str) -> str:
    imports = [line for line in code.splitlines() if line.startswith(("import ", "from "))]
    rest = [line for line in code.splitlines() if not line.startswith(("import ", "from "))]
    body = textwrap.indent("\n".join(rest).strip("\n"), "    ")
    head = "\n".join(imports) + "\n\n\n" if imports else ""
    return f"{head}def main():\n{body}\n\n\nmain()"


def _ask(code: str, failed: Outcome, draw: Draw) -> str:
    return draw.pick(_QUESTIONS).format(
        code=f"```python\n{code}\n```",
        trace=f"```\n{failed.trace}\n```",
        error=failed.error,
        article="an" if failed.error[0] in "AEIOU" else "a",
    )


def _explain(
    failure: Failure, broken: str, fixed: str, failed: Outcome, repaired: Outcome, draw: Draw
) -> str:
    cause = draw.pick(_CAUSES).format(
        error=failed.error,
        line=failed.line,
        source=broken.splitlines()[failed.line - 1].strip(),
        message=failed.message,
        cause=failure.cause,
    )
    fix = draw.pick(_FIXES).format(fix=failure.fix, lower=failure.fix[0].lower() + failure.fix[1:])
    depth = draw.pick(("fix only", "cause only", "code", "code", "whole", "whole", "whole"))
    if depth == "fix only":
        return f"{fix}\n\n```python\n{fixed}\n```"
    if depth == "cause only":
        return f"{cause} {failure.fix}"
    parts = [cause, fix, f"```python\n{fixed}\n```"]
    if depth == "whole":
        parts.append(
            f"I ran the repaired program; it prints:\n\n```\n{repaired.printed.rstrip()}\n```"
        )
    return "\n\n".join(parts)
