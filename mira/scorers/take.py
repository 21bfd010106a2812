"""A published scorer in the place of a trained student."""

from __future__ import annotations

import logging
from pathlib import Path

from mira.io import atomic_path, write_json
from mira.scorers.folder import check_folder, link_folder, trainer_state
from mira.scorers.hub import fetch
from mira.scorers.settings import Scorer

log = logging.getLogger(__name__)


def take_scorer(
    scorer: Scorer, model_dir: Path, state_path: Path, *, trust_remote_code: bool = False
) -> None:
    """Bring a scorer into a run: ``distillation/{group}/model/`` and ``trainer_state.json``.

    From the entry's ``path``, else from the hub at its revision. The folder is checked first and
    then linked, not copied. The state is the scorer's own, with ``scorer`` beside it: name,
    origin and parameters counted.

    Raises UserError where the folder cannot be had or is not whole (ours).
    """
    if scorer.path is not None:
        folder, origin = Path(scorer.path), {"path": scorer.path}
    else:
        assert scorer.hub_id is not None, "an entry has a path or a hub_id"
        folder = fetch(scorer.hub_id, scorer.revision, scorer.name)
        origin = {"hub_id": scorer.hub_id, "commit": folder.name}
    parameters = check_folder(folder, trust_remote_code=trust_remote_code)
    log.info("scorer %s from %s", scorer.name, origin)
    taken = {"name": scorer.name, "parameters": parameters.counted, **origin}
    with atomic_path(model_dir) as temporary:
        temporary.mkdir(parents=True)
        link_folder(folder, temporary)
    write_json(trainer_state(folder) | {"scorer": taken}, state_path)
