"""Adapter of rule harvest_sources: the demo's sources, spoiled, and the hidden list."""

import logging
from pathlib import Path

from mira.io import write_jsonl, write_parquet
from mira.logs import logged
from mira.sampling.harvest import HarvestSettings, harvest
from mira.sampling.spoil import spoil_records
from mira.seeds import derive_seed

MARGIN = 0.5  # spoiling may double a record; harvested ones leave room below max_chars


def main() -> None:
    limits = snakemake.params.limits
    records = []
    for source, harvester in snakemake.params.harvesters.items():
        settings = HarvestSettings(
            max_records=limits["max_records_per_source"] or 400,
            max_chars=int(limits["max_chars"] * MARGIN),
            min_chars=limits["min_chars"],
            seed=derive_seed(snakemake.params.seed, "harvest", source),
        )
        harvested = [{**record, "source": source} for record in harvest(harvester, settings)]
        logging.info("%s: %d records", source, len(harvested))
        records += harvested
    records, spoiled = spoil_records(
        records, snakemake.params.spoil_share, derive_seed(snakemake.params.seed, "spoil")
    )
    for path in map(Path, snakemake.output.raw):
        write_jsonl((r for r in records if r["source"] == path.stem), path)
    write_parquet(spoiled, snakemake.output.spoiled)


with logged(snakemake.log[0]):
    main()
