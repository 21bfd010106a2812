"""Adapter of rule read_source: one source's rows to records and rejected rows."""

import logging

from mira.config import Source
from mira.io import write_parquet
from mira.logs import logged
from mira.sampling.normalise import Limits, check_rejected_share, normalise_source
from mira.sampling.readers import read_source
from mira.sampling.samples import reject_over_cap


def uncounted(texts: list[str]) -> list[int]:
    """Tokens are counted once the tokenizer stands; see rule count_tokens."""
    return [0] * len(texts)


def main() -> None:
    name, limits = snakemake.wildcards.source, snakemake.params.limits
    source = Source(**snakemake.params.source)
    if source.harvest:
        rows = read_source(name, Source(family=source.family, path=snakemake.input.rows))
    else:
        rows = read_source(name, source)
    bounds = Limits(limits["min_chars"], limits["max_chars"], limits["on_too_long"])
    kept, rejected = normalise_source(rows, name, source, bounds, uncounted)
    check_rejected_share(name, len(kept), rejected, limits["max_rejected_share"])
    if limits["max_records_per_source"]:
        kept, rejected = reject_over_cap(
            kept, rejected, limits["max_records_per_source"], snakemake.params.seed
        )
    logging.info("%s: %d records kept, %d rows rejected", name, len(kept), len(rejected))
    write_parquet(kept, snakemake.output.records)
    write_parquet(rejected, snakemake.output.rejected)


with logged(snakemake.log[0]):
    main()
