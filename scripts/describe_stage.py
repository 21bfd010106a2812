"""Adapter of rule describe_stage: the manifest of a stage whose outputs several jobs wrote."""

from pathlib import Path

from mira.logs import logged
from mira.manifest import write_manifest
from mira.report.gather import read_stage_seconds


def main() -> None:
    stage = snakemake.wildcards.stage
    outputs = [Path(path) for path in snakemake.input.outputs]
    write_manifest(
        snakemake.output.manifest,
        stage=stage,
        inputs=[],
        outputs=outputs,
        settings=snakemake.params.settings,
        seed=snakemake.params.seed,
        counts={"files": len(outputs), "bytes": sum(path.stat().st_size for path in outputs)},
        seconds=read_stage_seconds(Path(snakemake.params.results)).get(stage, 0.0),
    )


with logged(snakemake.log[0]):
    main()
