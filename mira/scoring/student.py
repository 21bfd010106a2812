"""A student ready to score: an engine, its tokenizer, and the rubric it was trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mira.distillation.prompt import encode_messages, render_messages
from mira.distillation.statistics import load_bins
from mira.io import sha256
from mira.parsing import parse_anchored
from mira.records import Family
from mira.scoring.engine import Decoding, Engine, Prompt
from mira.scoring.engines.prefix_cache import check_prefix_cache, shared_prefix
from mira.scoring.expected import summarise_scores
from mira.scoring.settings import ReadoutSettings
from mira.scoring.skeletons import build_skeleton
from mira.scoring.views import Viewed, view_record
from mira.seeds import derive_seed, stable_hash

STATISTICS = ("mean", "sd", "median", "mode")
SCORE_SUFFIXES = tuple(f"_{name}" for name in STATISTICS)


class Student:
    """Scores records on its group's anchors, whatever engine runs it."""

    def __init__(
        self,
        engine: Engine,
        tokenizer: Any,
        anchors: list[dict[str, Any]],
        settings: ReadoutSettings,
        *,
        model_hash: str,
        bins: Any = None,
    ):
        self.engine = engine
        self.readout = settings.readout
        self.slots = [anchor["slot"] for anchor in anchors]
        self.model_hash = model_hash
        self.batch_size = settings.scoring.batch_size or engine.batch_size
        self._tokenizer = tokenizer
        self._anchors = anchors
        self._settings = settings
        self._bins = bins
        self._asked = 0
        self._shared: Prompt | None = None
        self._skeleton = build_skeleton(anchors, tokenizer) if self.readout == "expected" else None

    def reading(self, readout: str, seed: int | None = None) -> Student:
        """The same student under another readout or seed, with the engine that is already open."""
        scoring = self._settings.scoring.model_copy(update={"readout": readout})
        seed = self._settings.seed if seed is None else seed
        return Student(
            self.engine,
            self._tokenizer,
            self._anchors,
            replace(self._settings, scoring=scoring, seed=seed),
            model_hash=self.model_hash,
            bins=self._bins,
        )

    @property
    def fingerprint(self) -> str:
        """Of everything that decides a score; scores of two fingerprints must not be mixed."""
        settings = self._settings
        deciding = (settings.scoring.deciding(), settings.style, settings.max_record_tokens)
        engine = (self.engine.name, self.engine.version)
        parts = (self.model_hash, self._anchors, engine, deciding, settings.seed)
        return f"{stable_hash(*parts):016x}"

    def cache_warning(self) -> str | None:
        """What to say where the engine's prefix cache did not spare what prompts share, or None."""
        if self.engine.block_tokens is None or self._shared is None:
            return None
        return check_prefix_cache(
            self.engine.counters(),
            len(self._shared.ids),
            self._asked,
            block_tokens=self.engine.block_tokens,
        )

    def score(self, records: pd.DataFrame) -> pd.DataFrame:
        """Scores of a batch of records (columns id, family, text).

        Returns id, ``s{i}_mean``, ``_sd``, ``_median``, ``_mode`` per slot (NaN where unread),
        view, engine, engine_version, readout, prompt_hash and model_hash. A record read in several
        windows has the mean of what they say.
        """
        views = [self._view(text) for text in records["text"]]
        prompts = [
            [self._prompt(text, family) for text in viewed.texts]
            for viewed, family in zip(views, records["family"], strict=True)
        ]
        read = self._expected if self.readout == "expected" else self._written
        values = read(list(records["id"]), prompts)
        columns: dict[str, Any] = {"id": records["id"].to_numpy()}
        for index in range(len(self.slots)):
            for name in STATISTICS:
                columns[f"s{index + 1}_{name}"] = values[name][:, index]
        table = pd.DataFrame(columns)
        table["view"] = [viewed.view for viewed in views]
        table["engine"] = self.engine.name
        table["engine_version"] = self.engine.version
        table["readout"] = self.readout
        table["prompt_hash"] = [_hash(of_record) for of_record in prompts]
        table["model_hash"] = self.model_hash
        return table

    def _view(self, text: str) -> Viewed:
        scoring = self._settings.scoring
        return view_record(
            text,
            self._tokenizer,
            self._settings.max_record_tokens,
            scoring.on_too_long,
            scoring.max_windows,
        )

    def _prompt(self, text: str, family: Family) -> Prompt:
        messages = render_messages(
            text,
            family,
            self._anchors,
            self._tokenizer,
            style=self._settings.style,
            rationales=self.readout != "expected",
            max_record_tokens=self._settings.max_record_tokens,
            bins=self._bins,
        )
        return Prompt(tuple(encode_messages(messages, self._tokenizer)), tuple(messages))

    def _flat(self, prompts: list[list[Prompt]]) -> list[Prompt]:
        """All prompts one after the other; remembers how many, and what they have in common."""
        flat = [prompt for of_record in prompts for prompt in of_record]
        if flat:
            known = [] if self._shared is None else [self._shared]
            shared = shared_prefix([*known, *flat])
            self._shared = Prompt(flat[0].ids[:shared], ())
            self._asked += len(flat)
        return flat

    def _expected(self, ids: list[str], prompts: list[list[Prompt]]) -> dict[str, np.ndarray]:
        assert self._skeleton is not None
        flat = self._flat(prompts)
        shape = (0, len(self.slots), 11)
        found = self.engine.expected(flat, self._skeleton) if flat else np.empty(shape)
        return summarise_scores(_average(found, prompts))

    def _written(self, ids: list[str], prompts: list[list[Prompt]]) -> dict[str, np.ndarray]:
        scoring = self._settings.scoring
        flat = self._flat(prompts)
        decoding = Decoding(scoring.max_new_tokens)
        if self.readout == "sample":
            seeds = tuple(
                derive_seed(self._settings.seed, "sample", record_id, *([window] if window else []))
                for record_id, of_record in zip(ids, prompts, strict=True)
                for window in range(len(of_record))
            )
            decoding = Decoding(scoring.max_new_tokens, scoring.temperature, scoring.top_p, seeds)
        replies = self.engine.write(flat, decoding) if flat else []
        scores = _average(parse_replies(replies, self.slots), prompts)
        no_spread = np.full_like(scores, np.nan)
        return {"mean": scores, "sd": no_spread, "median": scores, "mode": scores}


def open_student(
    model_dir: str | Path, anchors: list[dict[str, Any]], settings: ReadoutSettings, group: str
) -> Student:
    """The group's student behind the engine that the settings name.

    Raises UserError where the model, its tokenizer or the engine cannot be used.
    """
    from mira.scoring.engines import open_engine

    engine, tokenizer = open_engine(str(model_dir), settings.scoring, group)
    return Student(
        engine,
        tokenizer,
        anchors,
        settings,
        model_hash=sha256(Path(model_dir))[:16],
        bins=load_bins(Path(model_dir)),
    )


def parse_replies(replies: Sequence[str | None], slots: list[str]) -> np.ndarray:
    """Scores (replies, slots); NaN where a slot could not be read, never a default."""
    scores = np.full((len(replies), len(slots)), np.nan)
    for row, reply in enumerate(replies):
        if reply is not None:
            found = parse_anchored(reply, slots).scores
            scores[row] = [np.nan if found[slot] is None else found[slot] for slot in slots]
    return scores


def _average(found: np.ndarray, prompts: list[list[Prompt]]) -> np.ndarray:
    """Mean over the windows of each record; NaN where none could be read."""
    if all(len(of_record) == 1 for of_record in prompts):
        return found
    bounds = np.cumsum([0, *map(len, prompts)])
    averaged = np.full((len(prompts), *found.shape[1:]), np.nan)
    for row, (start, end) in enumerate(pairwise(bounds)):
        windows = found[start:end]
        read = ~np.isnan(windows)
        counts = read.sum(axis=0)
        sums = np.where(read, windows, 0.0).sum(axis=0)
        averaged[row] = np.divide(sums, counts, out=averaged[row], where=counts > 0)
    return averaged


def _hash(prompts: list[Prompt]) -> str:
    return f"{stable_hash(*(token for prompt in prompts for token in prompt.ids)):016x}"


def batches(records: pd.DataFrame, size: int) -> Iterator[pd.DataFrame]:
    """Batches of similar length: sorted by n_tokens, then id, so that they are always the same."""
    ordered = records.sort_values(["n_tokens", "id"])
    for start in range(0, len(ordered), size):
        yield ordered.iloc[start : start + size]
