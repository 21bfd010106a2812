"""A restart with mira: open the journal, let ``ask_all`` replay every record."""

from __future__ import annotations

import asyncio

from measure import read_job, timed
from questions import Questions
from restart import SETTINGS, numbers_of, print_result

from mira.teacher.client import CallFailure, Reply, Request, ask_all
from mira.teacher.journal import Journal
from mira.teacher.progress import Progress


def main() -> None:
    """Replay the journal of the job on the command line."""
    job = read_job()
    questions, numbers = Questions(), numbers_of(job)
    right = 0

    def check(request: Request, reply: Reply | CallFailure) -> None:
        nonlocal right
        right += isinstance(reply, Reply) and reply.text.startswith(f"{request.ticket} ")

    with timed() as opening:
        journal = Journal(job["folder"], payer=SETTINGS.payer)
    requests = (Request(number, questions.messages(number)) for number in numbers)
    with timed() as asking:
        progress = Progress("bench", len(numbers))
        counts = asyncio.run(ask_all(requests, SETTINGS, journal, progress, check))
    if counts.paid or counts.failed:
        raise SystemExit(f"{counts.paid + counts.failed} requests were sent")
    print_result(opening, asking, right, job)


if __name__ == "__main__":
    main()
