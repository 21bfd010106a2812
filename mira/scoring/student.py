"""A student ready to score: model, tokenizer and the rubric it was trained on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mira.distillation.model import load_model, load_tokenizer
from mira.distillation.prompt import encode_prompt
from mira.distillation.student import load_bins
from mira.distillation.targets import score_prefix
from mira.io import sha256
from mira.records import Family
from mira.scoring.expected import expected_scores, summarise_scores
from mira.scoring.settings import ReadoutSettings
from mira.scoring.tokens import encode, find_score_tokens
from mira.seeds import stable_hash


class Student:
    """Scores records on its group's anchors with the transformers engine."""

    engine = "transformers"

    def __init__(self, model_dir: Path, anchors: list[dict[str, Any]], settings: ReadoutSettings):
        self._model = load_model(str(model_dir), settings.dtype).eval()
        self._tokenizer = load_tokenizer(str(model_dir))
        self._anchors = anchors
        self._settings = settings
        self._bins = load_bins(Path(model_dir))
        self.readout = settings.readout
        self.slots = [anchor["slot"] for anchor in anchors]
        self.model_hash = sha256(Path(model_dir))[:16]
        if settings.readout == "expected":
            self._tokens = find_score_tokens(self._tokenizer, score_prefix(anchors[0]))
            self._prefixes = [encode(self._tokenizer, score_prefix(anchor)) for anchor in anchors]
            self._separator = encode(self._tokenizer, "\n")

    def score(self, records: pd.DataFrame) -> pd.DataFrame:
        """Scores of a batch of records (columns id, family, text).

        Returns id, ``s{i}_mean``, ``_sd``, ``_median``, ``_mode`` per slot (NaN where unread),
        engine, readout, prompt_hash and model_hash.
        """
        prompts = [
            self._prompt(text, family)
            for text, family in zip(records["text"], records["family"], strict=True)
        ]
        if not prompts:
            nothing = np.empty((0, len(self.slots)))
            values = dict.fromkeys(("mean", "sd", "median", "mode"), nothing)
        elif self.readout == "expected":
            values = self._expected(prompts)
        else:
            values = self._generated(prompts, list(records["id"]))
        columns: dict[str, Any] = {"id": records["id"].to_numpy()}
        for index in range(len(self.slots)):
            for name, array in values.items():
                columns[f"s{index + 1}_{name}"] = array[:, index]
        table = pd.DataFrame(columns)
        table["engine"] = self.engine
        table["readout"] = self.readout
        table["prompt_hash"] = [f"{stable_hash(*prompt):016x}" for prompt in prompts]
        table["model_hash"] = self.model_hash
        return table

    def _prompt(self, text: str, family: Family) -> list[int]:
        return encode_prompt(
            text,
            family,
            self._anchors,
            self._tokenizer,
            style=self._settings.style,
            rationales=self.readout != "expected",
            max_record_tokens=self._settings.max_record_tokens,
            bins=self._bins,
        )

    def _expected(self, prompts: list[list[int]]) -> dict[str, np.ndarray]:
        probabilities = expected_scores(
            self._model,
            prompts,
            self._prefixes,
            self._separator,
            self._tokens,
            self._tokenizer.pad_token_id,
        )
        return summarise_scores(probabilities)

    def _generated(self, prompts: list[list[int]], ids: list[str]) -> dict[str, np.ndarray]:
        from mira.scoring.generation import generate_replies, make_sampler, parse_replies

        settings = self._settings
        sampler = None
        if settings.readout == "sample":
            sampler = make_sampler(ids, settings.seed, settings.temperature, settings.top_p)
        replies = generate_replies(
            self._model,
            self._tokenizer,
            prompts,
            max_new_tokens=settings.max_new_tokens,
            sampler=sampler,
        )
        scores = parse_replies(replies, self.slots)
        no_spread = np.full_like(scores, np.nan)
        return {"mean": scores, "sd": no_spread, "median": scores, "mode": scores}


def batches(records: pd.DataFrame, size: int) -> Iterator[pd.DataFrame]:
    """Batches of similar length: sorted by n_tokens, then id, so that they are always the same."""
    ordered = records.sort_values(["n_tokens", "id"])
    for start in range(0, len(ordered), size):
        yield ordered.iloc[start : start + size]
