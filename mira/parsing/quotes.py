"""Leaving out of a reply what it quotes from the record.

A record may hold ready answers, or tags that end a thought. A teacher that quotes them has not
said them, and only the record's own text can tell the two apart (ours).
"""

from __future__ import annotations

import re

from mira.prompts.fence import fence

_AROUND = "#|_•+-*`\"'“”「」"
_TAG = re.compile(r"[<◁\[]/?\w+[>▷\]]")


def without_quotes(reply: str, record: str) -> str:
    """The reply without the record in its fence, and without lines that are lines of the record.

    White space and marks of lists, quotations and code around a line do not count. Lines without
    a letter or a digit are kept: they quote nothing. So is a lone tag, unless the telling line
    before or after it is quoted too: the teacher's thoughts may end with the same tag as thoughts
    in the record. A last line that begins like one of the record and follows a quoted one is a
    cut quote.
    """
    if "record " not in reply and not _may_quote(reply, record):
        return reply
    fenced = fence(record)
    lines = reply.replace(fenced, "").split("\n")
    cores = [_core(line) for line in lines]
    telling = [i for i, core in enumerate(cores) if _tells(core)]
    quotable = {core for line in fenced.split("\n") if _tells(core := _core(line))}
    quoted = {i for i in telling if cores[i] in quotable}
    if telling and set(telling[-2:-1]) & quoted:
        end = cores[telling[-1]]
        quoted |= {telling[-1]} if any(core.startswith(end) for core in quotable) else set()
    for place, i in enumerate(telling):
        beside = {*telling[max(0, place - 1) : place], *telling[place + 1 : place + 2]}
        if i in quoted and _TAG.fullmatch(cores[i]) and not beside & quoted:
            quoted.remove(i)
    return "\n".join(line for i, line in enumerate(lines) if i not in quoted)


def _may_quote(reply: str, record: str) -> bool:
    """Whether any line could be a quote: tells the usual reply, which has none, at once."""
    text = "".join(record.split())
    return any(core and core in text for core in set(map(_core, reply.split("\n"))))


def _tells(core: str) -> bool:
    return any(map(str.isalnum, core))


def _core(line: str) -> str:
    return "".join(line.split()).strip(_AROUND).removeprefix(">").strip(_AROUND)
