"""What a forecast takes for granted, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mira.config import Config, Teacher
from mira.forecast.cells import MIN_OWN_CALLS

_PROMPTS = {
    "counted": "prompt tokens are counted with teacher.tokenizer",
    "scaled": "teacher.tokenizer does not count as the endpoint does, so its counts are scaled "
    "to the pilot's",
    "estimated": "prompt tokens are estimated from bytes, at the pilot's rate (no "
    "teacher.tokenizer)",
    "bounded": "a token is at least one byte",
}


def say_assumptions(stages: Mapping[str, Any], config: Config) -> list[str]:
    """Sentences that a reader of the forecast should know."""
    teacher = config.teacher
    notes = []
    for name, stage in stages.items():
        notes.append(f"{name}: {_PROMPTS[stage['prompts']]}.")
        if "draws" not in stage:
            notes.append(
                f"{name}: no pilot, so replies are only bounded (max_tokens each); calls that ask "
                f"again and the chat template's own tokens are left out, and the time is unknown."
            )
        elif stage["pool"]:
            notes.append(
                f"{name}: sources with fewer than {MIN_OWN_CALLS} pilot calls share the rates of "
                f"a pool, and their intervals allow for their being unlike it."
            )
        if stage["provisional"]:
            notes.append(
                f"{name}: the anchors do not exist yet; the prompts have provisional ones, made "
                f"from the pilot's judgment points, with room for shorter and longer ones."
            )
    if config.labelling.budget != "all":
        notes.append(
            f"labelling: of all sampled records; with labelling.budget "
            f"'{config.labelling.budget}' it may end earlier, and pilot calls about records that "
            f"are then not labelled are of no other use."
        )
    if "labelling" not in stages:
        notes.append(
            "labelling: can be forecast once a pilot has judgment points, or with the anchors."
        )
    notes.append(_say_time(stages, teacher))
    if teacher.mode == "batch":
        notes.append(
            f"Money is at teacher.batch.price_share ({teacher.batch.price_share:g}) of the prices; "
            f"the pilot's calls are live, at the full price."
        )
    if teacher.kind == "embedded":
        notes.append("The teacher is the embedded stand-in: this says nothing about a real one.")
    return notes


def _say_time(stages: Mapping[str, Any], teacher: Teacher) -> str:
    if teacher.mode == "batch":
        return (
            f"Time: each batch is promised within {teacher.batch.completion_window}; nothing "
            f"shorter is forecast."
        )
    if all(stage["total"]["seconds"] is None for stage in stages.values()):
        return "Time: unknown, for no call of the pilot was timed."
    return (
        f"Time: one group after the other with teacher.concurrency ({teacher.concurrency}) calls "
        f"in flight, each as long as the pilot's were, or at the requests and tokens per minute "
        f"where these are slower."
    )
