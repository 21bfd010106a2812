"""``labelling``: what the teacher will cost; how records that talk to the judge fare."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_commands(commands: Any) -> None:
    """Add the commands to the parser's subcommands."""
    labelling = commands.add_parser("labelling", help="the teacher's bill and its robustness")
    parts = labelling.add_subparsers(dest="part", required=True, metavar="PART")
    forecast = parts.add_parser("forecast", help="tokens, money and time before they are spent")
    forecast.add_argument("--configfile", type=Path, required=True)
    forecast.set_defaults(execute=_forecast)
    injection = parts.add_parser("injection", help="records that tell the judge what to answer")
    injection.add_argument("--configfile", type=Path, required=True)
    injection.add_argument("--out", type=Path, default=None, help="write the table there too")
    injection.set_defaults(execute=_injection)


def _forecast(arguments: argparse.Namespace) -> None:
    from mira.forecast.command import forecast_run

    print(forecast_run(arguments.configfile))


def _injection(arguments: argparse.Namespace) -> None:
    from mira.injection.command import measure_injection

    print(measure_injection(arguments.configfile, arguments.out))
