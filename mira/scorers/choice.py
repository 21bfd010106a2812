"""Which published scorer each group of a run uses."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from mira.config import Config
from mira.errors import UserError
from mira.records import Family
from mira.scorers.anchors import anchor_rows
from mira.scorers.settings import Scorer, load_scorers, near

_SEE_GROUPS = (
    "Which sources a group has is in clustering/groups.csv, which can be made first: "
    "snakemake results/{run}/clustering/groups.csv with distillation.students: trained."
)


def scorers_of_run(config: Config) -> dict[str, Scorer]:
    """The scorer of every group; empty where the run trains its students (ours).

    Raises UserError for a group without a scorer, a group or scorer that does not exist, a
    scorer of another family than its group, one whose slots are not known or do not number
    anchoring.k, one whose folder is not there, and a readout that it did not learn.
    """
    distillation = config.distillation
    if distillation.students != "published":
        return {}
    known = load_scorers(distillation.scorers_file).scorers
    families = _families(config)
    _check_groups(distillation.scorers, list(families), config.run)
    chosen = {}
    for group, name in distillation.scorers.items():
        if name not in known:
            raise UserError(
                f"distillation.scorers.{group}: no scorer '{name}' in "
                f"{distillation.scorers_file}: {near(name, list(known))}"
            )
        chosen[group] = known[name]
        _check_scorer(group, families[group], known[name], config)
    return chosen


def check_family(group: str, scorer: Scorer, groups: pd.DataFrame) -> None:
    """Raise UserError where a source of the group is of another family than the scorer.

    ``groups`` is ``clustering/groups.csv``. The cards advise against any other domain.
    """
    members = groups[groups["group"] == group]
    if not (others := members[members["family"] != scorer.family]).empty:
        listing = ", ".join(f"{row.source} ({row.family})" for row in others.itertuples())
        raise UserError(
            f"distillation.scorers.{group}: '{scorer.name}' scores records of family "
            f"'{scorer.family}', but the group has {listing}. Choose another scorer, or keep "
            "families apart with clustering.within: family."
        )


def uncovered_sources(group: str, scorer: Scorer, groups: pd.DataFrame) -> list[str]:
    """The group's sources that the scorer's card does not name (to be warned of)."""
    return sorted(set(groups.loc[groups["group"] == group, "source"]) - set(scorer.sources))


def _families(config: Config) -> dict[str, Family | None]:
    """Family of every group, None where groups may mix families, in order of names."""
    return {
        name: family
        for family, k in config.groups_by_family().items()
        for name in config.group_names()
        if (family is None or name in {f"{family}-{i}" for i in range(1, k + 1)})
    }


def _check_groups(scorers: dict[str, str], groups: list[str], run: str) -> None:
    for group in scorers:
        if group not in groups:
            raise UserError(
                f"distillation.scorers: no group '{group}' in this run: {near(group, groups)}"
            )
    if missing := [group for group in groups if group not in scorers]:
        raise UserError(
            f"distillation.scorers names no scorer for {', '.join(missing)}. With students: "
            f"published every group needs one: {missing[0]}: NAME. {_SEE_GROUPS.format(run=run)}"
        )


def _check_scorer(group: str, family: Family | None, scorer: Scorer, config: Config) -> None:
    if family is not None and scorer.family != family:
        raise UserError(
            f"distillation.scorers.{group}: '{scorer.name}' scores records of family "
            f"'{scorer.family}', but group '{group}' is of family '{family}'. Choose a scorer of "
            "that family."
        )
    anchor_rows(scorer, config.anchoring.k)
    if scorer.path is not None and not Path(scorer.path).is_dir():
        raise UserError(
            f"Scorer '{scorer.name}': its folder {scorer.path} (key path in "
            f"{config.distillation.scorers_file}) does not exist."
        )
    if config.scoring.readout == "expected" and not scorer.scores_only:
        raise UserError(
            f"scoring.readout 'expected' decodes scores-only answers, which '{scorer.name}' is not "
            "known to have learnt: set scoring.readout to 'sample' (cards), or 'scores_only: true' "
            "in the entry of a scorer that was trained with distillation.scores_only_share."
        )
