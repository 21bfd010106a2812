"""Adapter of rule prepare_tokenizer: train the tokenizer, or copy the named one."""

from collections.abc import Iterator

from mira.distillation.model import load_tokenizer
from mira.io import atomic_path, read_parquet
from mira.logs import logged
from mira.sampling.tokenizer import train_tokenizer


def texts() -> Iterator[str]:
    for path in snakemake.input.records:
        yield from read_parquet(path, ["text"])["text"]


def main() -> None:
    settings = snakemake.params.tokenizer
    if settings["path"] is None:
        train_tokenizer(texts(), settings["vocab_size"], snakemake.output.tokenizer)
        return
    with atomic_path(snakemake.output.tokenizer) as folder:
        load_tokenizer(settings["path"]).save_pretrained(folder)


with logged(snakemake.log[0]):
    main()
