"""Claim: a restart over 100,000 finished records takes under 3 seconds.

    python bench/journal_restart.py

A journal is written through its own interface, and the same replies into one SQLite table. Then, in
turns and each time in a fresh process: open, and get every reply by the question that was asked.
For mira that is ``ask_all`` with no endpoint to be reached; for SQLite the whole table is read
into a dictionary and asked with the same keys. The clock starts after imports and stops when the
last reply has been handed over. Three journals: ``dense`` (a commit holds the replies of 64 calls,
as a fast endpoint gives them), ``sparse`` (one reply a commit, as a slow one does), and
``shuffled`` (dense, asked in an order that is not the written one). The last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from measure import RESULTS, describe_disk, machine, rounded_median, run_json, work_folder

CLAIMED_SECONDS = 3.0
CLAIMED_RECORDS = 100_000

BUILDS = {"dense": 64, "sparse": 1}
CASES: dict[str, dict[str, Any]] = {
    "mira_dense": {"script": "restart_mira.py", "store": "dense", "shuffled": False},
    "mira_shuffled": {"script": "restart_mira.py", "store": "dense", "shuffled": True},
    "mira_sparse": {"script": "restart_mira.py", "store": "sparse", "shuffled": False},
    "sqlite": {"script": "restart_sqlite.py", "store": "sqlite", "shuffled": False},
}


def build_stores(folder: Path, records: int) -> dict[str, int]:
    """Write all stores; their sizes in bytes."""
    for name, per_commit in BUILDS.items():
        job = {"folder": str(folder / name), "records": records, "per_commit": per_commit}
        built = run_json(sys.executable, "build_journal.py", job)
        print(f"built {name}: {built['commits']:,} commits", file=sys.stderr)
    job = {"folder": str(folder / "sqlite"), "journal": str(folder / "dense")}
    run_json(sys.executable, "build_sqlite.py", job)
    return {
        store: sum(path.stat().st_size for path in (folder / store).iterdir())
        for store in (*BUILDS, "sqlite")
    }


def run_rounds(folder: Path, records: int, rounds: int) -> dict[str, list[dict[str, Any]]]:
    """All rounds, in an order drawn anew for each; a line per run on standard error."""
    results: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for number in range(rounds):
        for name in random.Random(number).sample(sorted(CASES), len(CASES)):
            case = CASES[name]
            job = {
                "folder": str(folder / case["store"]),
                "records": records,
                "shuffled": case["shuffled"],
            }
            result = run_json(sys.executable, case["script"], job)
            results[name].append(result)
            print(
                f"round {number + 1} {name}: open {result['open_seconds']:.2f} s, "
                f"all replies {result['seconds']:.2f} s",
                file=sys.stderr,
            )
    return dict(results)


def summarise(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over one case's rounds; memory is the process's peak with all replies dropped."""
    return {
        "seconds": rounded_median([one["seconds"] for one in rounds]),
        "all_seconds": [round(one["seconds"], 3) for one in rounds],
        "open_seconds": rounded_median([one["open_seconds"] for one in rounds]),
        "cpu_seconds": rounded_median([one["cpu_seconds"] for one in rounds]),
        "peak_mb": rounded_median([one["peak_mb"] for one in rounds], 0),
    }


def main() -> None:
    """Build, run, and print the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=CLAIMED_RECORDS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=RESULTS, help="on the disk to be measured")
    arguments = parser.parse_args()
    with work_folder(arguments.folder) as folder:
        disk = describe_disk(folder)
        sizes = build_stores(folder, arguments.records)
        where = machine()
        results = run_rounds(folder, arguments.records, arguments.rounds)
    cases = {name: summarise(rounds) for name, rounds in results.items()}
    ours = [case["seconds"] for name, case in cases.items() if name.startswith("mira")]
    judged = arguments.records >= CLAIMED_RECORDS and disk["durable"]
    report = {
        "bench": "journal_restart",
        "claim_holds": max(ours) < CLAIMED_SECONDS if judged else None,
        "cases": cases,
        "bytes": sizes,
        "records": arguments.records,
        "rounds": arguments.rounds,
        "disk": disk,
        "machine": where,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
