"""Adapter of rule export_selection: the selected text itself, source by source."""

import time
from pathlib import Path

from mira.export import export_source
from mira.io import read_parquet, sha256
from mira.logs import logged
from mira.manifest import write_manifest


def main() -> None:
    started = time.monotonic()
    selection = read_parquet(snakemake.input.selection)
    chosen = selection[selection["selected"]]
    corpus = {Path(path).stem: path for path in snakemake.input.corpus}
    records, checksums = {}, {}
    for path in map(Path, snakemake.output.text):
        source = path.name.removesuffix(".jsonl.zst")
        ids = set(chosen.loc[chosen["source"] == source, "id"])
        records[source] = export_source(corpus[source], ids, path)
        checksums[path.name] = sha256(path)
    write_manifest(
        snakemake.output.manifest,
        stage="selection",
        inputs=[snakemake.input.selection],
        settings={"method": snakemake.wildcards.method, "stand_in": snakemake.params.stand_in},
        seed=None,
        counts={
            "records": records,
            "tokens": int(chosen["n_tokens"].sum()),
            "sha256": checksums,
        },
        seconds=time.monotonic() - started,
    )


with logged(snakemake.log[0]):
    main()
