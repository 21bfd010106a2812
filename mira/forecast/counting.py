"""How large every prompt of a stage is: in the teacher's tokens, or in bytes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pandas as pd

from mira.errors import UserError
from mira.prompts import Message
from mira.records import Family

_RECORDS_AT_ONCE = 500

Build = Callable[[str, Family], list[Message]]
Count = Callable[[list[str]], list[int]]


class PromptSizer:
    """Sizes of prompts: the sum over their messages' contents, as ``count`` counts texts.

    What stands before the last message is the same for a whole group and counted once.
    """

    def __init__(self, count: Count, *, in_tokens: bool):
        self.in_tokens = in_tokens
        self._count = count
        self._before: dict[tuple[str, ...], int] = {}

    @classmethod
    def of(cls, tokenizer: str | None) -> PromptSizer:
        """Counts tokens of the tokenizer (folder or id), or bytes where there is none.

        Raises UserError where the tokenizer cannot be loaded.
        """
        if tokenizer is None:
            return cls(count_bytes, in_tokens=False)
        return cls(_load_counter(tokenizer), in_tokens=True)

    def size(self, messages: Sequence[Message]) -> int:
        """The size of one prompt."""
        return self.sizes([messages])[0]

    def sizes(self, prompts: Sequence[Sequence[Message]]) -> list[int]:
        """The sizes of several prompts."""
        last = self._count([prompt[-1]["content"] for prompt in prompts])
        return [
            self._size_before(prompt) + size for prompt, size in zip(prompts, last, strict=True)
        ]

    def _size_before(self, prompt: Sequence[Message]) -> int:
        before = tuple(message["content"] for message in prompt[:-1])
        if before not in self._before:
            self._before[before] = sum(self._count(list(before)))
        return self._before[before]


def count_bytes(texts: list[str]) -> list[int]:
    """Lengths in UTF-8."""
    return [len(text.encode("utf-8")) for text in texts]


def measure_source(path: str | Path, build: Build, sizer: PromptSizer) -> pd.DataFrame:
    """One row per record of ``{source}.parquet``: id, source, family, chars and size.

    ``build`` makes the prompt of a text. Records are read and rendered a few hundred at a time.
    """
    parts = []
    for records in _read_in_parts(path):
        prompts = [
            build(text, family)
            for text, family in zip(records["text"], records["family"], strict=True)
        ]
        sizes = sizer.sizes(prompts)
        part = records[["id", "source", "family"]]
        parts.append(part.assign(chars=records["text"].str.len(), size=sizes))
    if not parts:
        return pd.DataFrame(columns=["id", "source", "family", "chars", "size"])
    return pd.concat(parts, ignore_index=True)


def _read_in_parts(path: str | Path) -> Iterator[pd.DataFrame]:
    import pyarrow.parquet as pq

    columns = ["id", "source", "family", "text"]
    for batch in pq.ParquetFile(path).iter_batches(_RECORDS_AT_ONCE, columns=columns):
        yield batch.to_pandas()


def _load_counter(tokenizer: str) -> Count:
    try:
        return _counter(tokenizer)
    except Exception as error:  # The libraries raise many kinds, Exception itself among them.
        raise UserError(
            f"teacher.tokenizer '{tokenizer}' cannot be loaded: {error}. Expected a folder with "
            f"tokenizer.json, or an id whose tokenizer needs no code of its own. Correct it, or "
            f"set it to null: prompt tokens are then estimated from bytes, at the pilot's rate."
        ) from error


def _counter(tokenizer: str) -> Count:
    if (Path(tokenizer) / "tokenizer.json").is_file():
        from mira.sampling.tokenizer import token_counter

        return token_counter(tokenizer)
    from transformers import AutoTokenizer

    loaded = AutoTokenizer.from_pretrained(tokenizer, trust_remote_code=False)
    loaded.model_max_length = sys.maxsize

    def count(texts: list[str]) -> list[int]:
        encoded = loaded(texts, add_special_tokens=False, return_attention_mask=False)
        return [len(ids) for ids in encoded["input_ids"]]

    return count
