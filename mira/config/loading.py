"""Reading a config file; every mistake in it is one readable line."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from mira.config.base import Name
from mira.config.corpus import Source
from mira.config.run import Config
from mira.errors import UserError

_UNION_MEMBER = re.compile(r"^(int|str|float|constrained-int|(dict|list)\[.*\]|\[key\])$")


def load_config(path: str | Path) -> Config:
    """Read and check a YAML config; every problem is one readable UserError."""
    path = Path(path)
    if not path.exists():
        raise UserError(f"Config file not found: {path}. Give one with --configfile.")
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {error}") from error
    return parse_config(raw, str(path))


def parse_config(raw: Any, where: str = "config") -> Config:
    """Check settings given as nested dicts; ``where`` names their origin in messages."""
    if not isinstance(raw, dict):
        raise UserError(f"{where}: expected a mapping of settings, found {type(raw).__name__}.")
    # Not at the top: serving values are themselves checked against the settings.
    from mira.scorers.serving import with_serving_values

    try:
        return Config.model_validate(with_serving_values(raw))
    except ValidationError as error:
        lines = [_explain(problem) for problem in error.errors()]
        listing = "\n".join(f"  - {line}" for line in lines)
        raise UserError(f"{where}: {len(lines)} problem(s) in the settings\n{listing}") from None


def _explain(problem: Any) -> str:
    # pydantic names the members of a union; they are no keys of the user's.
    location = [str(part) for part in problem["loc"] if not _UNION_MEMBER.match(str(part))]
    key = ".".join(location) or "(top level)"
    if problem["type"] == "extra_forbidden":
        known = _known_keys(location[:-1])
        near = difflib.get_close_matches(location[-1], known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(sorted(known))}"
        return f"unknown key '{key}': {hint}"
    if problem["type"] == "missing":
        return f"missing key '{key}'"
    message = problem["msg"].removeprefix("Value error, ")
    found = "" if isinstance(problem.get("input"), dict) else f" (found {problem.get('input')!r})"
    return f"'{key}': {message}{found}"


def _known_keys(location: list[str]) -> list[str]:
    model: Any = Config
    for part in location:
        if part in getattr(model, "model_fields", {}):
            model = model.model_fields[part].annotation
        elif model == dict[Name, Source]:
            model = Source
    return list(getattr(model, "model_fields", {}))
