"""Write the entries of a journal into one SQLite table."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import orjson
from measure import read_job

from mira.teacher.journal import Journal


def main() -> None:
    """Copy the journal that the job on the command line names."""
    job = read_job()
    folder = Path(job["folder"])
    folder.mkdir()
    entries = Journal(job["journal"]).iter_entries()
    connection = sqlite3.connect(folder / "replies.sqlite3")
    with connection:
        connection.execute("CREATE TABLE replies (key TEXT PRIMARY KEY, entry BLOB NOT NULL)")
        connection.executemany(
            "INSERT INTO replies VALUES (?, ?)",
            ((entry["key"], orjson.dumps(entry)) for entry in entries),
        )
    connection.close()
    print(json.dumps({}))


if __name__ == "__main__":
    main()
