"""A released scorer's folder: checked, and brought into a run without a copy of its weights."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Any

from mira.distillation.model import load_tokenizer
from mira.errors import UserError, first_line
from mira.scorers.weights import Parameters, check_weights

STATE = "trainer_state.json"
SAMPLE = "[A1] 0 1 2 3 4 5 6 7 8 9 10"
NO_STATE = "the scorer's folder has no trainer_state.json"

log = logging.getLogger(__name__)


def check_folder(folder: Path, *, trust_remote_code: bool = False) -> Parameters:
    """Check that a model folder is whole and scores can come from it.

    Raises UserError for what is missing or unreadable: config.json, tokenizer, chat template,
    weights (:func:`mira.scorers.weights.check_weights`), and for a tokenizer with more tokens
    than the model knows.
    """
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder}: no config.json, so this is no model folder. Check the path.")
    for path in sorted(folder.glob("*.json")):
        _read_json(path)
    config = _load_config(folder, trust_remote_code)
    tokenizer = load_tokenizer(str(folder), trust_remote_code)
    _check_tokenizer(tokenizer, config, folder)
    parameters = check_weights(folder, config, trust_remote_code=trust_remote_code)
    log.info("%s: %s parameters", folder, f"{parameters.counted:,}")
    if parameters.implied is None:
        log.warning("%s: quantised weights; their number was not checked", folder)
    return parameters


def link_folder(folder: Path, destination: Path) -> None:
    """Put the folder's files below ``destination`` as hard links, else as symbolic links.

    Hard links outlive the folder they come from; across file systems there are none. Hidden
    files and folders (caches, .git) stay behind.
    """
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if not path.is_file() or any(part.startswith(".") for part in relative.parts):
            continue
        target = destination / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        # The hub's cache has symbolic links to its blobs; a link to a link breaks with it.
        whole = path.resolve()
        try:
            target.hardlink_to(whole)
        except OSError:
            target.symlink_to(whole)


def trainer_state(folder: Path) -> dict[str, Any]:
    """The scorer's own loss curve, or an empty one with a note where it came without.

    Values that are no number (NaN) are left out. Raises UserError where the file is not a
    trainer state.
    """
    path = folder / STATE
    if not path.is_file():
        return {"log_history": [], "global_step": 0, "note": NO_STATE}
    state = _read_json(path)
    history = state.get("log_history") if isinstance(state, dict) else None
    if not isinstance(history, list) or not all(_is_entry(entry) for entry in history):
        raise UserError(
            f"{path}: expected 'log_history', a list of entries with 'step'. Fetch the file again, "
            "or remove it: scoring does not need it."
        )
    finite = [{key: value for key, value in entry.items() if _finite(value)} for entry in history]
    return {"global_step": 0, **state, "log_history": finite}


def _check_tokenizer(tokenizer: Any, config: Any, folder: Path) -> None:
    # Without its vocabulary a tokenizer may load all the same, and then knows no word.
    if tokenizer.decode(tokenizer.encode(SAMPLE, add_special_tokens=False)).strip() != SAMPLE:
        raise UserError(
            f"{folder}: its tokenizer cannot write '{SAMPLE}' and read it back, so its files are "
            "not whole (tokenizer.json, say). Fetch the folder again."
        )
    known = config.get_text_config().vocab_size
    if len(tokenizer) > known:
        raise UserError(
            f"{folder}: its tokenizer has {len(tokenizer):,} tokens, but config.json a vocabulary "
            f"of {known:,}: the tokenizer belongs to another model. Fetch the folder again."
        )


def _is_entry(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("step"), int)


def _finite(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON ({error}); fetch the file again.") from None


def _load_config(folder: Path, trust_remote_code: bool) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError) as error:
        remote = "auto_map" in _read_json(folder / "config.json") and not trust_remote_code
        todo = (
            "The model brings code of its own: read it, and where you trust it set "
            "scoring.trust_remote_code: true."
            if remote
            else "Fetch the file again, or install a version of transformers that knows the model."
        )
        raise UserError(f"{folder / 'config.json'}: {first_line(error)} {todo}") from None
