"""How many of the sampled records are labelled, and which come next (ours; the paper: all)."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd

from mira.config import Labelling
from mira.errors import UserError
from mira.learning_curve.curve import measure_curve
from mira.learning_curve.picking import stratified_order, uncertain_order
from mira.learning_curve.probe import disagreement, text_features

CANDIDATES = 4  # per label to be picked by uncertainty: bounds what a round has to read

logger = logging.getLogger(__name__)


class LabelBudget:
    """Says round by round which records to ask, as rows of ``records``.

    ``records`` has id, source, split and text. With ``plan.budget`` "all" there is one round. With
    "learning_curve" the first has all held-out records and ``plan.first_round`` training records;
    each later one doubles the training records, until the learning curve of the labels says that
    they are enough or none is left. Every decision follows from the records, the labels and the
    seed alone, so a run that is started again repeats it. ``waiting`` are the rows not yet asked,
    and ``stopped`` says in words why they will not be. Raises UserError where a learning curve has
    no held-out record to be measured by.
    """

    def __init__(
        self, records: pd.DataFrame, slots: list[str], plan: Labelling, seed: int, group: str
    ):
        self.stopped = ""
        training = np.flatnonzero(records["split"] == "train")
        self.waiting = training[stratified_order(records.iloc[training], seed)]
        self._records = records
        self._slots = slots
        self._plan = plan
        self._seed = seed
        self._group = group
        self._texts = dict(zip(records["id"], records["text"], strict=True))
        if self.grows and len(training) == len(records) > 0:
            raise UserError(
                f"labelling.budget 'learning_curve' measures agreement on held-out records, and "
                f"group '{group}' has none: raise sampling.validation_share, or set "
                f"labelling.budget to 'all'."
            )

    @property
    def grows(self) -> bool:
        """Whether there may be more than one round."""
        return self._plan.budget == "learning_curve"

    @property
    def left(self) -> int:
        """How many records have not been asked."""
        return len(self.waiting)

    def first_round(self) -> np.ndarray:
        """The records to ask before anything is known, sorted."""
        wanted = self._plan.first_round if self.grows else self.left
        held_out = np.flatnonzero(self._records["split"] != "train")
        return np.sort(np.concatenate([held_out, self._take(self.waiting[:wanted])]))

    def next_round(self, labels: pd.DataFrame) -> np.ndarray:
        """The records to ask next, sorted; none when the ``labels`` of all before are enough."""
        if not self.left or self._is_enough(labels):
            return np.array([], dtype=np.int64)
        asked = (self._records["split"] == "train").sum() - self.left
        if self._plan.pick == "uncertainty":
            return np.sort(self._take(self._most_uncertain(labels, asked)))
        return np.sort(self._take(self.waiting[:asked]))

    def _take(self, rows: np.ndarray) -> np.ndarray:
        self.waiting = self.waiting[~np.isin(self.waiting, rows)]
        return rows

    def _is_enough(self, labels: pd.DataFrame) -> bool:
        curve = measure_curve(labels, self._texts, self._slots, self._seed)
        if curve.empty:
            return False
        last = curve.iloc[-1]
        verdict = "enough" if last["enough"] else "not enough"
        logger.info("labelling %s: %s: %s", self._group, _describe(last), verdict)
        if last["enough"]:
            self.stopped = _describe(last)
        return bool(last["enough"])

    def _most_uncertain(self, labels: pd.DataFrame, wanted: int) -> np.ndarray:
        """The waiting records on which probes of the labels disagree most, source by source."""
        pool = self.waiting[: CANDIDATES * wanted]
        training = labels[labels["split"] == "train"]
        uncertainty = disagreement(
            text_features([self._texts[i] for i in training["id"]]),
            training[self._slots].to_numpy(dtype=float),
            text_features(self._records["text"].iloc[pool].tolist()),
            self._seed,
        )
        return pool[uncertain_order(self._records.iloc[pool], uncertainty, self._seed)[:wanted]]


def _describe(size: pd.Series) -> str:
    at = f"at {size['n']} training labels"
    if pd.isna(size["gain_of_next_doubling"]):
        return f"{at} there is no learning curve yet"
    return (
        f"{at} another doubling is expected to add {size['gain_of_next_doubling']:.4f} to the "
        f"probe's held-out Spearman of {size['spearman']:.4f}, and the error of such a gain is "
        f"{size['half_width']:.4f}"
    )
