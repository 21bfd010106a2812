"""Records for a person to read: drawn by chance over all sources, shown with their reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from mira.report.selections import kept_rows
from mira.seeds import derive_rng

if TYPE_CHECKING:
    from mira.report.gather import ReportData

EXCERPT_CHARS = 1_200
_SPLIT_PREFERENCE = {"validation": 0, "train": 1}
_CONTROL = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"}


@dataclass(frozen=True)
class Pick:
    """One drawn record: where it is and what selection decided about it."""

    source: str
    id: str
    group: str
    n_tokens: int
    score: float
    kept: bool


@dataclass(frozen=True)
class SlotView:
    """One slot of a sample: both scores out of 10, the teacher's reason, whether it counted."""

    slot: str
    name: str
    student: float | None
    teacher: float | None
    reason: str | None
    counted: bool


@dataclass(frozen=True)
class Sample:
    """One record as the page shows it.

    ``lowest_kept`` is the lowest score kept in the record's group; ``split`` says whether the
    teacher's label was used in training, held out, or absent (None).
    """

    pick: Pick
    excerpt: str
    more_chars: int
    lowest_kept: float | None
    slots: list[SlotView]
    split: str | None
    overall: float | None
    recommendation: str | None
    brief: str | None


def pick_records(
    selection: pd.DataFrame | None, labels: pd.DataFrame, seed: int, count: int = 10
) -> list[Pick]:
    """Draw ``count`` kept and ``count`` dropped records, taking turns over the sources (ours).

    Within a source the draw is by chance among held-out labelled records first, then labelled
    ones, then the rest, so that most samples show the teacher's reasons beside the student's
    scores. The result does not depend on the order of the rows.
    """
    if selection is None or selection.empty:
        return []
    scored = selection[selection["score"].notna()]
    split = labels[["source", "id", "split"]].drop_duplicates(["source", "id"])
    scored = scored.merge(split, on=["source", "id"], how="left").sort_values(["source", "id"])
    scored["preference"] = scored["split"].map(_SPLIT_PREFERENCE).fillna(2)
    picks = []
    for kept in (True, False):
        rows = scored[scored["selected"].astype(bool) == kept]
        rng = derive_rng(seed, "report", "samples", "kept" if kept else "dropped")
        rows = rows.assign(chance=rng.random(len(rows)))
        picks += [_as_pick(row, kept) for row in _take_turns(rows, rng, count)]
    return picks


def _take_turns(rows: pd.DataFrame, rng: Any, count: int) -> list[Any]:
    rows = rows.sort_values(["preference", "chance"])
    queues = [list(part.itertuples()) for _, part in rows.groupby("source", sort=True)]
    queues = [queues[i] for i in rng.permutation(len(queues))]
    rounds = max((len(queue) for queue in queues), default=0)
    turns = [queue[turn] for turn in range(rounds) for queue in queues if turn < len(queue)]
    return turns[:count]


def _as_pick(row: Any, kept: bool) -> Pick:
    return Pick(row.source, row.id, str(row.group), int(row.n_tokens), float(row.score), kept)


def samples(data: ReportData, method: str) -> list[Sample]:
    """The drawn records with text, scores per slot, and the teacher's reasons."""
    if not data.picks:
        return []
    lowest = kept_rows(data.selections[method]).groupby("group")["score"].min().to_dict()
    scores = _by_record(data.scores)
    labels = _by_record(data.labels)
    masked = data.cells[~data.cells["keep"].astype(bool)]
    masked_cells = set(zip(masked["source"], masked["slot"], strict=True))
    views = []
    for pick in data.picks:
        key = (pick.source, pick.id)
        label = labels.get(key, {})
        text = data.texts.get(key, "")
        anchors = data.anchors.get(pick.group, [])
        views.append(
            Sample(
                pick=pick,
                excerpt=excerpt(text),
                more_chars=max(0, len(text) - EXCERPT_CHARS),
                lowest_kept=lowest.get(pick.group),
                slots=[_slot(a, pick, scores.get(key, {}), label, masked_cells) for a in anchors],
                split=_known(label.get("split")),
                overall=_known(label.get("overall")),
                recommendation=_known(label.get("recommendation")),
                brief=_known(label.get("brief")),
            )
        )
    return views


def excerpt(text: str) -> str:
    """The start of a text, with control characters made visible (HTML allows none)."""
    return text[:EXCERPT_CHARS].replace("\r\n", "\n").translate(_CONTROL)


def _slot(
    anchor: dict[str, Any],
    pick: Pick,
    scores: dict[str, Any],
    label: dict[str, Any],
    masked: set[tuple[str, str]],
) -> SlotView:
    slot = anchor["slot"]
    number = slot.removeprefix("A")
    return SlotView(
        slot=slot,
        name=anchor["name"],
        student=_known(scores.get(f"s{number}_mean")),
        teacher=_known(label.get(f"s{number}")),
        reason=_known(label.get(f"r{number}")),
        counted=(pick.source, slot) not in masked,
    )


def _by_record(frame: pd.DataFrame) -> dict[tuple[str, str], dict[str, Any]]:
    views = ({str(key): value for key, value in row.items()} for row in frame.to_dict("records"))
    return {(row["source"], row["id"]): row for row in views}


def _known(value: Any) -> Any:
    return None if pd.isna(value) else value
