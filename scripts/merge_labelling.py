"""Adapter of rule merge_labelling: the teacher's bill over all groups, and what was forecast."""

from pathlib import Path

from mira.forecast.compare import compare_run
from mira.io import read_json, read_parquets, write_json, write_parquet
from mira.logs import logged


def main() -> None:
    write_parquet(read_parquets(snakemake.input.rejected), snakemake.output.rejected)
    # With published scorers nothing is discovered.
    before = snakemake.input.forecast_discovery
    stages = {
        **({"discovery": snakemake.input.discovery} if before else {}),
        "labelling": snakemake.input.labelling,
    }
    bills = {
        stage: {Path(path).stem: read_json(path) for path in paths}
        for stage, paths in stages.items()
    }
    compared = compare_run(
        read_json(before) if before else None,
        read_json(snakemake.input.forecast_labelling),
        bills,
    )
    write_json({**bills, "forecast": compared}, snakemake.output.cost)


with logged(snakemake.log[0]):
    main()
