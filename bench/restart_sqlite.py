"""The plain alternative: read a whole SQLite table into a dictionary, look every question up."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import orjson
from measure import read_job, timed
from questions import Questions
from restart import key_of, numbers_of, print_result


def main() -> None:
    """Look up every question of the job on the command line."""
    job = read_job()
    questions, numbers = Questions(), numbers_of(job)
    with timed() as opening:
        connection = sqlite3.connect(Path(job["folder"]) / "replies.sqlite3")
        entries = dict(connection.execute("SELECT key, entry FROM replies"))
    right = 0
    with timed() as asking:
        for number in numbers:
            entry = orjson.loads(entries[key_of(questions, number)])
            right += entry["text"].startswith(f"{number} ")
    print_result(opening, asking, right, job)


if __name__ == "__main__":
    main()
