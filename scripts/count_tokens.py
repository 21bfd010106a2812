"""Adapter of rule count_tokens: n_tokens of every record of one source."""

from mira.io import read_parquet, write_parquet
from mira.logs import logged
from mira.sampling.tokenizer import token_counter

BATCH = 256


def main() -> None:
    records = read_parquet(snakemake.input.records)
    count = token_counter(snakemake.input.tokenizer)
    texts = records["text"].tolist()
    counts = [n for i in range(0, len(texts), BATCH) for n in count(texts[i : i + BATCH])]
    write_parquet(records.assign(n_tokens=counts), snakemake.output.corpus)


with logged(snakemake.log[0]):
    main()
