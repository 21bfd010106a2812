"""Every figure that the calculator takes for granted, with where it comes from."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

from mira.errors import UserError

GIVEN = "given"
DTYPES = ("bfloat16", "fp8")


@dataclass(frozen=True)
class Assumption:
    """A figure, its unit, its origin and a word on it.

    ``origin``: "measured" on such hardware, "published" by others, "derived" by a formula,
    "assumed" without a measurement, "given" by the user.
    """

    name: str
    value: float
    unit: str
    origin: str
    source: str

    def or_given(self, value: float | None) -> Assumption:
        """This, or what the user gave in its place."""
        if value is None:
            return self
        return Assumption(self.name, value, self.unit, GIVEN, f"default: {self.value:g}")


@cache
def _shipped() -> dict[str, Any]:
    file = resources.files("mira.cost").joinpath("data/assumptions.yaml")
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def _read(section: dict[str, Any]) -> dict[str, Assumption]:
    return {name: Assumption(name=name, **entry) for name, entry in section.items()}


def gpu_names() -> tuple[str, ...]:
    """The GPUs that can be priced."""
    return tuple(_shipped()["gpus"])


def gpu_figures(gpu: str) -> dict[str, Assumption]:
    """What is known of a GPU. Raises UserError for one that is not, naming those that are."""
    known = gpu_names()
    if gpu.lower() not in known:
        near = difflib.get_close_matches(gpu.lower(), known, n=1, cutoff=0.5)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise UserError(f"--gpu '{gpu}' is not known. Expected one of {', '.join(known)}.{hint}")
    return _read(_shipped()["gpus"][gpu.lower()])


def serving_figures(dtype: str) -> dict[str, Assumption]:
    """How well an engine uses a GPU with weights of this kind."""
    efficiency = _shipped()["decode_efficiency"][dtype]
    return _read({**_shipped()["serving"], "decode_efficiency": efficiency})


def work_figures() -> dict[str, Assumption]:
    """Lengths of what surrounds a record: prompts and answers."""
    return _read(_shipped()["work"])
