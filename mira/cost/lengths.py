"""How long the records are: what the cost of reading them depends on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mira.errors import UserError
from mira.io import read_parquet


@dataclass(frozen=True)
class Lengths:
    """Moments of the records' lengths, in tokens.

    ``squares`` is the sum of the squared lengths: attention grows with it, so that a few long
    records can outweigh many short ones. ``cut`` counts records that were shortened.
    """

    records: float
    tokens: float
    squares: float
    longest: float
    cut: int = 0

    @property
    def mean(self) -> float:
        """Mean length, which decides memory and linear work."""
        return self.tokens / self.records

    @property
    def weighted(self) -> float:
        """Mean length as a token sees it, ``sum(L^2) / sum(L)``, which decides attention."""
        return self.squares / self.tokens

    def scaled(self, records: float) -> Lengths:
        """The same lengths in another number of records."""
        factor = records / self.records
        return Lengths(records, self.tokens * factor, self.squares * factor, self.longest, self.cut)


@dataclass(frozen=True)
class SourceLengths:
    """The lengths of one source's records, and their 10th, 50th and 90th percentile."""

    source: str
    lengths: Lengths
    percentiles: tuple[float, float, float]


def equal_lengths(records: float, tokens_per_record: float) -> Lengths:
    """Records of one length. Raises UserError unless both numbers are above 0."""
    for option, value in (("--records", records), ("--tokens-per-record", tokens_per_record)):
        if not 0 < value < float("inf"):
            raise UserError(f"{option} should be a number above 0, found {value:g}.")
    tokens = records * tokens_per_record
    return Lengths(records, tokens, tokens * tokens_per_record, tokens_per_record)


def read_lengths(folder: Path, max_tokens: int) -> list[SourceLengths]:
    """Lengths of a run's normalised records, per source, from ``n_tokens``.

    A record over ``max_tokens`` counts as that many: its student reads head and tail of it.
    Raises UserError where the folder is not a run's ``sampling/corpus``.
    """
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise UserError(
            f"--corpus {folder}: there is no *.parquet. Expected a run's results/<run>/sampling/"
            f"corpus; the target of that name makes it."
        )
    found = [_source_lengths(file, max_tokens) for file in files]
    filled = [source for source in found if source is not None]
    if not filled:
        raise UserError(f"--corpus {folder}: its {len(files)} file(s) hold no record.")
    return filled


def all_lengths(sources: Sequence[SourceLengths]) -> Lengths:
    """The lengths of all sources together."""
    parts = [source.lengths for source in sources]
    return Lengths(
        records=sum(part.records for part in parts),
        tokens=sum(part.tokens for part in parts),
        squares=sum(part.squares for part in parts),
        longest=max(part.longest for part in parts),
        cut=sum(part.cut for part in parts),
    )


def _source_lengths(file: Path, max_tokens: int) -> SourceLengths | None:
    try:
        column = read_parquet(file, ["n_tokens"])["n_tokens"]
    except (ValueError, KeyError, OSError) as error:
        raise UserError(
            f"--corpus: {file} cannot be read as normalised records with a column n_tokens "
            f"({str(error).splitlines()[0]})."
        ) from None
    whole = column.to_numpy(dtype=float)
    if not len(whole):
        return None
    if not (whole > 0).all():
        raise UserError(
            f"--corpus: {file} has n_tokens that are missing or not above 0. Normalise the "
            f"records again."
        )
    read = np.minimum(whole, max_tokens)
    low, middle, high = np.percentile(read, [10, 50, 90])
    lengths = Lengths(
        records=len(read),
        tokens=float(read.sum()),
        squares=float(np.square(read).sum()),
        longest=float(read.max()),
        cut=int((whole > max_tokens).sum()),
    )
    return SourceLengths(file.stem, lengths, (float(low), float(middle), float(high)))
