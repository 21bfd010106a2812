"""Discovery, anchoring and labelling: what the teacher is asked."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mira.config.base import Section


class Discovery(Section):
    """Phase 1: free-form judging."""

    dimensions_per_record: int = Field(
        15, ge=3, description="Dimensions asked of the teacher per record. Secondary source: 15."
    )


class Anchoring(Section):
    """Judgment points to anchors."""

    k: int = Field(15, ge=2, description="Anchors per group (KMeans k). Model cards: 15.")
    references: int = Field(
        12, ge=0, description="Slots with calibration references, largest first. Model cards: 12."
    )
    stability_resamples: int = Field(20, ge=2, description="80 % resamples per group. Ours.")
    reuse: str | None = Field(
        None,
        description="Folder with {group}.jsonl of an earlier run: its anchors are taken over, so "
        "that new sources change no old question. Null: build them.",
    )


class Labelling(Section):
    """Phase 2: how many of the sampled records the teacher labels."""

    budget: Literal["all", "learning_curve"] = Field(
        "all",
        description="'all' (paper), or in doubling rounds until the next doubling would buy less "
        "agreement than the interval of its estimate (ours).",
    )
    first_round: int = Field(
        200, ge=10, description="Training labels of a group's first round ('learning_curve')."
    )
    pick: Literal["stratified", "uncertainty"] = Field(
        "stratified",
        description="Next labels: evenly over sources and lengths, or where probes disagree most.",
    )
