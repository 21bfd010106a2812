"""The published numbers and the checks on them, read from config/claims.yaml."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from mira.errors import UserError

Grade = Literal["seed", "card page", "paper text", "secondary summary", "derived", "not published"]
# Decimal of a float's shortest text: what the file says is exact in every sum.
Exact = Annotated[Decimal, BeforeValidator(lambda v: str(v) if isinstance(v, float) else v)]


class Model(BaseModel):
    """Base of the file's models: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Place(Model):
    """Where a number is published, and how far that can be trusted."""

    title: str
    grade: Grade


class Claim(Model):
    """One published number; ``value`` is None where none is published.

    ``measure`` names what the run measures of the same thing, see :mod:`mira.audit.evidence`.
    """

    id: str
    title: str
    place: str
    value: Exact | None
    unit: str
    decimals: int = Field(0, ge=0)
    measure: str | None = None
    note: str = ""


class Row(Model):
    """A row of a published table."""

    title: str
    values: list[Exact | None]


class Table(Model):
    """A published table; its cells are claims with the id ``table.row.column``."""

    title: str
    place: str
    unit: str
    decimals: int = Field(0, ge=0)
    columns: dict[str, str]
    rows: dict[str, Row]
    measures: dict[str, str] = {}

    @model_validator(mode="after")
    def _full_rows(self) -> Table:
        for key, row in self.rows.items():
            if len(row.values) != len(self.columns):
                raise ValueError(
                    f"row '{key}' has {len(row.values)} values for {len(self.columns)} columns"
                )
        if unknown := set(self.measures) - set(self.columns):
            raise ValueError(f"measures name columns that are not there: {sorted(unknown)}")
        return self


class Check(Model):
    """What all checks have. Lists of claim ids may hold patterns such as ``table.*.column``."""

    id: str
    claim: str
    place: str
    note: str = ""


class MeanCheck(Check):
    """``equals`` is the mean of ``of``; with ``each_row_of``, once a row, for ``{row}``."""

    kind: Literal["mean"]
    of: list[str] = Field(min_length=1)
    equals: str
    each_row_of: str | None = None


class MultipleCheck(Check):
    """Each percentage of ``of`` is a whole number of ``parts``."""

    kind: Literal["multiple"]
    of: list[str] = Field(min_length=1)
    parts: int = Field(ge=1)
    each_row_of: str | None = None


class DivisibleCheck(Check):
    """The sum of ``of`` is divisible by ``by``."""

    kind: Literal["divisible"]
    of: list[str] = Field(min_length=1)
    by: int = Field(ge=1)


class CompareCheck(Check):
    """The sum of ``left`` stands in ``relation`` to the sum of ``right``, taken ``times``."""

    kind: Literal["compare"]
    left: list[str] = Field(min_length=1)
    relation: Literal["equal", "at_most", "at_least"]
    right: list[str] = Field(min_length=1)
    times: int = Field(1, ge=1)


class RankingCheck(Check):
    """Words against numbers: each subject is above, or not below, all rivals."""

    kind: Literal["ranking"]
    subjects: list[str] = Field(min_length=1)
    relation: Literal["above", "at_least"]
    rivals: list[str] = Field(min_length=1)


class DistinctNamesCheck(Check):
    """No two rows of ``table`` have the same title, whatever its case."""

    kind: Literal["distinct_names"]
    table: str


AnyCheck = Annotated[
    MeanCheck | MultipleCheck | DivisibleCheck | CompareCheck | RankingCheck | DistinctNamesCheck,
    Field(discriminator="kind"),
]


class Claims(Model):
    """The whole file."""

    places: dict[str, Place]
    tables: dict[str, Table] = {}
    claims: list[Claim] = []
    checks: list[AnyCheck] = []

    @model_validator(mode="after")
    def _known_names(self) -> Claims:
        holders: Iterable[Claim | Table | Check]
        for holders in (self.claims, self.tables.values(), self.checks):
            for holder in holders:
                if holder.place not in self.places:
                    raise ValueError(f"place '{holder.place}' is not among the places")
        for things in (self.claims, self.checks):
            ids = [thing.id for thing in things]
            if repeated := sorted({name for name in ids if ids.count(name) > 1}):
                raise ValueError(f"ids that occur twice: {repeated}")
        for check in self.checks:
            self._check_names(check)
        return self

    def _check_names(self, check: AnyCheck) -> None:
        table = check.table if isinstance(check, DistinctNamesCheck) else row_table(check)
        if table is not None and table not in self.tables:
            raise ValueError(f"check '{check.id}': table '{table}' is not among the tables")
        for key in ("of", "equals", "left", "right", "subjects", "rivals"):
            named = getattr(check, key, [])
            for pattern in [named] if isinstance(named, str) else named:
                for row in self.rows_of(check):
                    if not self.matching([pattern.replace("{row}", row or "")]):
                        raise ValueError(f"check '{check.id}': no claim has the id '{pattern}'")

    @cached_property
    def by_id(self) -> dict[str, Claim]:
        """Every claim by its id: cells of tables in their order, then single claims."""
        cells = {
            f"{table_id}.{row_id}.{column}": Claim(
                id=f"{table_id}.{row_id}.{column}",
                title=f"{row.title}, {title}",
                place=table.place,
                value=value,
                unit=table.unit,
                decimals=table.decimals,
                measure=table.measures.get(column),
            )
            for table_id, table in self.tables.items()
            for row_id, row in table.rows.items()
            for (column, title), value in zip(table.columns.items(), row.values, strict=True)
        }
        return cells | {claim.id: claim for claim in self.claims}

    def matching(self, patterns: Iterable[str]) -> list[Claim]:
        """Claims whose ids match the patterns, in the order of the patterns and the file."""
        return [
            claim
            for pattern in patterns
            for name, claim in self.by_id.items()
            if fnmatchcase(name, pattern)
        ]

    def rows_of(self, check: AnyCheck) -> list[str | None]:
        """The rows a check runs over; ``[None]`` for a check that runs once."""
        table = row_table(check)
        return [None] if table is None else list(self.tables[table].rows)


def row_table(check: AnyCheck) -> str | None:
    """The table over whose rows a check runs, if it does."""
    return check.each_row_of if isinstance(check, MeanCheck | MultipleCheck) else None


def load_claims(path: str | Path) -> Claims:
    """Read config/claims.yaml.

    Raises UserError with file and key where the file is missing, is not YAML, has unknown keys
    or names claims that are not there.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
        return Claims.model_validate(content)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file. Expected the published claims (YAML).") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {error}") from None
    except ValidationError as error:
        lines = [
            f"  {'.'.join(map(str, problem['loc'])) or 'top level'}: {problem['msg']}"
            for problem in error.errors()
        ]
        text = "\n".join(lines)
        raise UserError(f"{path}: correct these keys of the published claims:\n{text}") from None
