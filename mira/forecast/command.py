"""``python -m mira labelling forecast``: make the forecast that is due, and show it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from mira.config import Config, load_config
from mira.errors import UserError
from mira.forecast.cap import say_cap
from mira.forecast.make import made_with
from mira.forecast.render import render_forecast
from mira.io import read_json

_SHOWN_LINES = 30
_JOB_STATS = re.compile(r"^(\w+) +\d+$", re.MULTILINE)


def forecast_run(configfile: str | Path) -> str:
    """The forecast of the run that the config names, as text.

    While discovery has calls to make it is of both stages, afterwards of labelling. Snakemake
    makes what it needs, in the current directory; what exists is not made again. Raises UserError
    with Snakemake's message where that fails.
    """
    config = load_config(configfile)
    run = Path("results") / config.run
    if not Path("Snakefile").exists():
        raise UserError(
            f"There is no Snakefile in {Path.cwd()}: change to the folder that holds it (the "
            f"repository's root) and start the forecast there."
        )
    jobs = _planned_jobs(run / "labelling" / "cost.json", configfile)
    stage = "discovery" if "discover_points" in jobs else "labelling"
    target = run / stage / "forecast.json"
    outdated = target.exists() and is_outdated(config, target)
    if f"forecast_{stage}" in jobs or outdated:
        print(say_payments(config, target), file=sys.stderr, flush=True)
        _make(target, configfile, force=outdated)
    forecast = read_json(target)
    parts = [str(target), render_forecast(forecast), say_cap(config, run, forecast)]
    if forecast["made_with"] != made_with(config.teacher):
        parts.append(
            f"It was made with other settings of `teacher` than {configfile} has, and is kept: "
            f"{stage} has begun."
        )
    return "\n\n".join(parts)


def is_outdated(config: Config, target: Path) -> bool:
    """Whether a forecast was made with other settings, and its stage has not begun.

    A new one would make a stage that has begun run again, if only from the journal.
    """
    bills = [target.parent / "cost" / f"{group}.json" for group in config.group_names()]
    begun = any(bill.exists() for bill in bills)
    return not begun and read_json(target)["made_with"] != made_with(config.teacher)


def say_payments(config: Config, target: Path) -> str:
    """What making the forecast will cost, for the terminal."""
    calls = config.teacher.pilot_calls
    if calls == 0:
        return f"Making {target}. No call is paid: teacher.pilot_calls is 0."
    who = "embedded teacher" if config.teacher.kind == "embedded" else "teacher"
    return (
        f"Making {target}. Its pilot asks the {who} up to {calls} questions "
        f"(teacher.pilot_calls), and some of them a second time; nothing else is paid. Replies "
        f"are kept in {config.teacher.journal}, and those that are there are not paid again."
    )


def _planned_jobs(target: Path, configfile: str | Path) -> set[str]:
    """The rules that making the target would run."""
    plan = _snakemake(configfile, str(target), "--dry-run", shown=False)
    _, _, stats = plan.partition("Job stats:")
    return set(_JOB_STATS.findall(stats)) - {"total"}


def _make(target: Path, configfile: str | Path, *, force: bool) -> None:
    options = ["--rerun-incomplete", *(["--force"] if force else [])]
    _snakemake(configfile, str(target), *options, shown=True)


def _snakemake(configfile: str | Path, *arguments: str, shown: bool) -> str:
    """Run Snakemake; what it says, which is also ``shown`` on stderr as it comes."""
    command = [
        *(sys.executable, "-m", "snakemake", *arguments, "--quiet", "rules"),
        *("--cores", str(os.cpu_count() or 1), "--configfile", str(configfile)),
    ]
    said: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if shown:
                sys.stderr.write(line)
    if process.returncode:
        last = "".join(said[-_SHOWN_LINES:]).strip()
        raise UserError(
            f"The forecast could not be made: Snakemake ended with status {process.returncode}. "
            f"Its last lines:\n{last}"
        )
    return "".join(said)
