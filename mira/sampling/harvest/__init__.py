"""The demo corpus, harvested from the Python installation that the set-up made.

Nothing is copied into the repository: every record is read, rendered or recorded at run time,
and is the same for the same package versions and seed.
"""

from __future__ import annotations

from mira.errors import UserError
from mira.records import Record
from mira.sampling.harvest.agent import AGENT_HARVESTERS
from mira.sampling.harvest.base import Harvester, HarvestSettings
from mira.sampling.harvest.qa import QA_HARVESTERS
from mira.sampling.harvest.text import TEXT_HARVESTERS

__all__ = ["HARVESTERS", "HarvestSettings", "Harvester", "harvest"]

HARVESTERS: dict[str, Harvester] = {
    harvester.name: harvester for harvester in (*TEXT_HARVESTERS, *QA_HARVESTERS, *AGENT_HARVESTERS)
}


def harvest(name: str, settings: HarvestSettings) -> list[Record]:
    """At most ``settings.max_records`` records of the named source (ours).

    Raises :class:`UserError` when there is no harvester of that name.
    """
    if name not in HARVESTERS:
        raise UserError(
            f"unknown harvester {name!r}; expected one of {', '.join(sorted(HARVESTERS))}. "
            f"Correct the name in the config's list of sources."
        )
    return list(HARVESTERS[name].harvest(settings))
