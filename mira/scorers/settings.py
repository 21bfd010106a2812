"""The scorers file: what is known of each released scorer, checked.

Every fact is the model cards' as far as its entry's ``grade`` says; null is what is not
published or was not seen.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from mira.config.base import Section
from mira.errors import UserError
from mira.records import Family

REPOSITORY = Path(__file__).parents[2]

AnchorField = Literal["slot", "name", "definition", "cluster_size", "references"]
Score = Annotated[float, Field(ge=0, le=10)]


class Reference(Section):
    """A calibration reference: a score given before, and why."""

    score: Score
    reason: str = Field(min_length=1)


class Anchor(Section):
    """One slot of a scorer's rubric; the cards publish slot, name and cluster size (cards)."""

    slot: str = Field(pattern=r"^A[1-9]\d*$")
    name: str = Field(min_length=1)
    cluster_size: int | None = Field(None, ge=0, description="Judgment points, not records.")
    definition: str = ""
    references: tuple[Reference, ...] = ()


class Scorer(Section):
    """One released scorer, or one of the user's own."""

    name: str = Field(description="Key of the entry; not written in it.")
    family: Family
    grade: Literal["seed", "card page", "name only", "own"] = Field(
        "own", description="How the facts of the entry are known."
    )
    hub_id: str | None = Field(None, pattern=r"^[\w.-]+/[\w.-]+$")
    revision: str | None = Field(None, description="Branch, tag or commit of hub_id.")
    path: str | None = Field(None, description="Local folder, used instead of hub_id.")
    label: str | None = Field(None, description="Name of the scorer's group.")
    domain: str | None = None
    anchor_file: str | None = Field(None, description="Its file in the project's repository.")
    source_count: int | None = Field(None, ge=1)
    sources: dict[str, str | None] = Field(default_factory=dict)
    unnamed_sources: tuple[str, ...] = Field((), description="Sources whose ids were not seen.")
    labelled_records: int | None = Field(None, ge=1, description="Phase 2, teacher-scored.")
    anchors: tuple[Anchor, ...] | None = Field(None, description="Null: not published.")
    anchors_file: str | None = Field(None, description="The user's copy; wins over `anchors`.")
    anchor_fields: dict[AnchorField, str] = Field(
        default_factory=dict, description="Keys of anchors_file, where they are not ours."
    )
    scores_only: bool = Field(False, description="Learnt scores-only answers: may be 'expected'.")

    @model_validator(mode="after")
    def _can_be_found(self) -> Scorer:
        if self.hub_id is None and self.path is None:
            raise ValueError("give 'path' (a local folder) or 'hub_id' (owner/name)")
        if self.revision is not None and self.path is not None:
            raise ValueError("'revision' belongs to 'hub_id': with 'path', leave it out")
        return self

    @model_validator(mode="after")
    def _slots_count_up(self) -> Scorer:
        slots = [anchor.slot for anchor in self.anchors or ()]
        expected = [f"A{number}" for number in range(1, len(slots) + 1)]
        if slots != expected:
            raise ValueError(f"'anchors' must have the slots A1, A2, ... in order, found {slots}")
        return self

    @model_validator(mode="after")
    def _sources_fit_their_count(self) -> Scorer:
        seen = len(self.sources) + len(self.unnamed_sources)
        if self.source_count is not None and seen > self.source_count:
            raise ValueError(f"{seen} sources are listed, but source_count is {self.source_count}")
        return self


class Serving(Section):
    """How the cards serve every released scorer (cards)."""

    dtype: Literal["bfloat16"]
    tensor_parallel: int = Field(ge=1)
    max_model_len: int = Field(ge=1)
    max_num_batched_tokens: int = Field(ge=1)
    gpu_memory_utilization: float = Field(gt=0, le=1)
    temperature: float = Field(ge=0)
    top_p: float = Field(ge=0, le=1)
    max_tokens: int = Field(ge=1)
    trust_remote_code: bool = Field(description="What the card's command says; never obeyed.")


class ScorersFile(Section):
    """A scorers file: entries by name, and the serving values that they share."""

    serving: Serving | None = None
    scorers: dict[str, Scorer] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _entries_know_their_names(cls, raw: Any) -> Any:
        entries = raw.get("scorers") if isinstance(raw, dict) else None
        if not isinstance(entries, dict):
            return raw
        named = {
            name: {**entry, "name": str(name)} if isinstance(entry, dict) else entry
            for name, entry in entries.items()
        }
        return {**raw, "scorers": named}


def load_scorers(path: str | Path) -> ScorersFile:
    """Read and check a scorers file; every problem is one readable UserError.

    A relative path that is not below the working folder is looked up in the repository.
    """
    found = _find(Path(path))
    try:
        raw = yaml.safe_load(found.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{found} is not valid YAML: {error}") from error
    if not isinstance(raw, dict):
        raise UserError(f"{found}: expected 'serving' and 'scorers', see config/scorers.yaml.")
    try:
        return ScorersFile.model_validate(raw)
    except ValidationError as error:
        lines = [_explain(problem) for problem in error.errors()]
        listing = "\n".join(f"  - {line}" for line in lines)
        raise UserError(f"{found}: {len(lines)} problem(s) in the scorers\n{listing}") from None


def near(name: str, known: list[str]) -> str:
    """A hint for a name that is not known: the nearest one, or all of them."""
    by_folded = {other.casefold(): other for other in known}
    found = difflib.get_close_matches(name.casefold(), list(by_folded), n=1)
    return f"did you mean '{by_folded[found[0]]}'?" if found else f"known: {', '.join(known)}"


def _find(path: Path) -> Path:
    for candidate in (path, REPOSITORY / path):
        if candidate.is_file():
            return candidate
    raise UserError(
        f"Scorers file not found: {path} (key distillation.scorers_file). Name a file made like "
        "config/scorers.yaml, or leave the key out to use that one."
    )


def _explain(problem: Any) -> str:
    location = [str(part) for part in problem["loc"]]
    where = _place(location)
    if problem["type"] == "extra_forbidden":
        known = sorted(_model_at(location).model_fields)
        return f"{where}: unknown key; {near(location[-1], known)}"
    if problem["type"] == "missing":
        return f"{where}: missing"
    message = problem["msg"].removeprefix("Value error, ")
    found = "" if isinstance(problem.get("input"), dict) else f" (found {problem.get('input')!r})"
    return f"{where}: {message}{found}"


def _place(location: list[str]) -> str:
    """A key as the user would look for it: an entry's by the entry's name."""
    if location[:1] != ["scorers"] or len(location) == 1:
        return f"'{'.'.join(location)}'" if location else "(top level)"
    entry, key = location[1], ".".join(location[2:])
    return f"scorer '{entry}', '{key}'" if key else f"scorer '{entry}'"


def _model_at(location: list[str]) -> type[BaseModel]:
    """The model that an unknown key was found in."""
    if "references" in location[:-1]:
        return Reference
    if "anchors" in location[:-1]:
        return Anchor
    sections: dict[str, type[BaseModel]] = {"scorers": Scorer, "serving": Serving}
    return sections[location[0]] if len(location) > 1 else ScorersFile
