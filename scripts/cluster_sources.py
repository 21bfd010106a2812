"""Adapter of rule cluster_sources: mean embeddings of the sources, grouped."""

import time
from pathlib import Path

from mira.clustering import cluster_sources
from mira.embedding import Embedder
from mira.io import read_parquet, write_csv
from mira.logs import logged
from mira.manifest import write_manifest
from mira.sampling.samples import cap_records


def main() -> None:
    started = time.monotonic()
    settings, seed = snakemake.params.settings, snakemake.params.seed
    embedder = Embedder(settings["embedding_model"], settings["dtype"], threads=snakemake.threads)
    families, samples = {}, {}
    for path in snakemake.input.corpus:
        records = read_parquet(path, ["id", "source", "family", "text"])
        sampled = cap_records(records, settings["records_per_source"], seed)
        families[Path(path).stem] = sampled["family"].iloc[0]
        samples[Path(path).stem] = sampled["text"].tolist()
    embeddings = {source: embedder.encode(texts) for source, texts in samples.items()}
    groups, similarity = cluster_sources(
        embeddings, families, settings["k"], settings["within"], seed
    )
    write_csv(groups, snakemake.output.groups)
    write_csv(similarity, snakemake.output.similarity)
    write_manifest(
        snakemake.output.manifest,
        stage="clustering",
        inputs=snakemake.input.corpus,
        settings=settings,
        seed=seed,
        counts={"sources": len(groups), "groups": groups["group"].nunique()},
        seconds=time.monotonic() - started,
    )


with logged(snakemake.log[0]):
    main()
