"""Traces of scripted agents that really use their tools."""

from __future__ import annotations

from mira.sampling.harvest.base import Harvester, make_harvester
from mira.sampling.harvest.bug_repairer import bug_repairer
from mira.sampling.harvest.function_caller import function_caller
from mira.sampling.harvest.shell_explorer import shell_explorer
from mira.sampling.harvest.sqlite_analyst import sqlite_analyst

AGENT_HARVESTERS: tuple[Harvester, ...] = (
    make_harvester(
        "shell_explorer",
        "agent",
        "Questions about packages, answered by looking into a copy of their files.",
        shell_explorer,
    ),
    make_harvester(
        "function_caller",
        "agent",
        "Requests answered by calling typed functions with JSON arguments.",
        function_caller,
    ),
    make_harvester(
        "sqlite_analyst",
        "agent",
        "Questions answered by querying seeded SQLite databases in memory.",
        sqlite_analyst,
    ),
    make_harvester(
        "bug_repairer",
        "agent",
        "Planted bugs repaired by reading, running doctests and editing.",
        bug_repairer,
    ),
)
