"""Claim: with its journal on, the teacher client is at least 2 times as fast as openai's default
client and reaches 0.75 of plain aiohttp, at an endpoint that answers after 20 ms.

    python bench/client.py

All contenders ask the same questions with the same number at once, one after the other, in an
order drawn anew for every round, each time in a fresh process and with an empty folder. Every
reply is checked, and so is the number of questions that reached the endpoint. Rates are replies
per second, medians over the rounds. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from alternatives import python_with
from measure import (
    RESULTS,
    describe_disk,
    endpoint_stats,
    machine,
    rounded_median,
    run_json,
    running_endpoint,
    work_folder,
)

CLAIMED_TIMES_OPENAI = 2.0
CLAIMED_SHARE_OF_AIOHTTP = 0.75
CLAIMED_CONCURRENCY = 64
CLAIMED_LATENCY_MS = 20.0


@dataclass(frozen=True)
class Contender:
    """A script that asks, and the package it needs beyond what mira needs itself."""

    script: str
    package: str | None = None
    capped: bool = False


CONTENDERS = {
    "mira": Contender("ask_mira.py"),
    "mira_with_cap": Contender("ask_mira.py", capped=True),
    "aiohttp": Contender("ask_aiohttp.py"),
    "openai": Contender("ask_openai.py", "openai"),
    "datatrove": Contender("ask_datatrove.py", "datatrove"),
}


def find_interpreters(names: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The interpreter of every contender that can run, and why the others cannot."""
    interpreters, missing = {}, {}
    for name in names:
        try:
            package = CONTENDERS[name].package
            interpreters[name] = python_with(package) if package else sys.executable
        except RuntimeError as error:
            missing[name] = str(error)
    return interpreters, missing


def run_once(
    name: str, python: str, url: str, records: int, concurrency: int, folder: Path
) -> dict[str, Any]:
    """One contender's run; raises RuntimeError where the endpoint saw another number of questions.

    Adds the rate, and the CPU seconds of the endpoint meanwhile (warm-up included).
    """
    before = endpoint_stats(url)
    job = {
        "url": url,
        "records": records,
        "concurrency": concurrency,
        "capped": CONTENDERS[name].capped,
        "folder": str(folder),
    }
    result = run_json(python, CONTENDERS[name].script, job)
    after = endpoint_stats(url)
    asked = after["questions"] - before["questions"]
    if asked != records + concurrency:
        raise RuntimeError(f"{name} sent {asked} questions, not {records + concurrency}")
    endpoint_cpu = (after["cpu_s"] - before["cpu_s"]) * records / asked
    return {**result, "rate": records / result["seconds"], "endpoint_cpu_seconds": endpoint_cpu}


def run_rounds(
    interpreters: dict[str, str], arguments: argparse.Namespace, folder: Path
) -> dict[str, list[dict[str, Any]]]:
    """All rounds; a line per run on standard error. A fresh endpoint for every round."""
    results: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for number in range(arguments.rounds):
        order = random.Random(number).sample(sorted(interpreters), len(interpreters))
        with running_endpoint(arguments.latency_ms) as url:
            for name in order:
                slow = name == "datatrove"
                records = arguments.datatrove_records if slow else arguments.records
                result = run_once(
                    name,
                    interpreters[name],
                    url,
                    records,
                    arguments.concurrency,
                    folder / f"{number}-{name}",
                )
                results[name].append(result)
                print(
                    f"round {number + 1} {name}: {result['rate']:,.0f} replies/s, "
                    f"{result['cpu_seconds'] / result['seconds']:.0%} of a core, "
                    f"endpoint {result['endpoint_cpu_seconds'] / result['seconds']:.0%}",
                    file=sys.stderr,
                )
            if (most := endpoint_stats(url)["most_in_flight"]) > arguments.concurrency:
                raise RuntimeError(f"{most} questions at once, not {arguments.concurrency}")
    return dict(results)


def summarise(rounds: list[dict[str, Any]], records: int) -> dict[str, Any]:
    """Medians over one contender's rounds."""
    summary = {
        "replies_per_s": rounded_median([one["rate"] for one in rounds], 1),
        "all_replies_per_s": [round(one["rate"], 1) for one in rounds],
        "cpu_ms_per_reply": rounded_median([1e3 * one["cpu_seconds"] / records for one in rounds]),
        "endpoint_busy": rounded_median(
            [one["endpoint_cpu_seconds"] / one["seconds"] for one in rounds]
        ),
        "records": records,
        "versions": rounds[0]["versions"],
    }
    if "run_seconds" in rounds[0]:
        whole = [records / one["run_seconds"] for one in rounds]
        summary["replies_per_s_with_start_and_clean_up"] = rounded_median(whole, 1)
    return summary


def ratios(results: dict[str, list[dict[str, Any]]]) -> dict[str, float | None]:
    """Ours over each other contender: the median of the ratios within rounds."""
    return {
        f"{ours}/{other}": round(
            median(
                one["rate"] / two["rate"]
                for one, two in zip(results[ours], results[other], strict=True)
            ),
            3,
        )
        if ours in results and other in results
        else None
        for ours in ("mira", "mira_with_cap")
        for other in ("openai", "aiohttp", "datatrove")
    }


def holds(quotients: dict[str, float | None]) -> bool | None:
    """Whether the claim holds; None where a contender is missing."""
    over_openai, over_aiohttp = quotients["mira/openai"], quotients["mira/aiohttp"]
    if over_openai is None or over_aiohttp is None:
        return None
    return over_openai >= CLAIMED_TIMES_OPENAI and over_aiohttp >= CLAIMED_SHARE_OF_AIOHTTP


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=4_000)
    parser.add_argument("--datatrove-records", type=int, default=None, help="default: as many")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--concurrency", type=int, default=CLAIMED_CONCURRENCY)
    parser.add_argument("--latency-ms", type=float, default=CLAIMED_LATENCY_MS)
    parser.add_argument("--folder", type=Path, default=RESULTS, help="on the disk to be measured")
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    arguments = parser.parse_args()
    arguments.datatrove_records = arguments.datatrove_records or arguments.records
    return arguments


def main() -> None:
    """Run everything and print the result."""
    arguments = read_arguments()
    interpreters, missing = find_interpreters(arguments.contenders)
    with work_folder(arguments.folder) as folder:
        disk, where = describe_disk(folder), machine()
        results = run_rounds(interpreters, arguments, folder)
    quotients = ratios(results)
    as_claimed = (arguments.concurrency, arguments.latency_ms) == (
        CLAIMED_CONCURRENCY,
        CLAIMED_LATENCY_MS,
    )
    report = {
        "bench": "client",
        "claim_holds": holds(quotients) if as_claimed and disk["durable"] else None,
        "ratios": quotients,
        "contenders": {
            name: summarise(
                rounds, arguments.datatrove_records if name == "datatrove" else arguments.records
            )
            for name, rounds in results.items()
        }
        | dict.fromkeys(missing),
        "missing": missing,
        "rounds": arguments.rounds,
        "concurrency": arguments.concurrency,
        "latency_ms": arguments.latency_ms,
        "disk": disk,
        "machine": where,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
