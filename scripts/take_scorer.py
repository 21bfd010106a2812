"""Adapter of rule take_scorer: a released model folder to the group's student."""

from pathlib import Path

from mira.logs import logged
from mira.scorers.settings import Scorer
from mira.scorers.take import take_scorer


def main() -> None:
    take_scorer(
        Scorer(**snakemake.params.scorer),
        Path(snakemake.output.model),
        Path(snakemake.output.state),
        trust_remote_code=snakemake.params.trust_remote_code,
    )


with logged(snakemake.log[0]):
    main()
