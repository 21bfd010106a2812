"""Selection and the report: what comes out."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from mira.config.base import Method, Section, Share


class Selection(Section):
    """Keeping the best records under a token budget."""

    budget_share: Share | None = Field(
        0.5, description="Share of the corpus's tokens. Paper: 25B of about 50B."
    )
    budget_tokens: int | None = Field(None, ge=1, description="Or the budget in tokens.")
    trim: Annotated[float, Field(ge=0, lt=0.5)] = Field(
        0.1, description="Share of kept slots cut at each end of the mean. Not published."
    )
    methods: list[Method] = Field(
        default=["raw", "random", "mira_global", "mira_group", "mira_source"],
        min_length=1,
        description="Which selections to make.",
    )

    @model_validator(mode="after")
    def _one_budget(self) -> Selection:
        if (self.budget_share is None) == (self.budget_tokens is None):
            raise ValueError("give one of 'budget_share' and 'budget_tokens', null the other")
        return self


class Report(Section):
    """Figures, tables and the HTML report."""

    title: str = Field("MIRA: a data selection run", description="Heading of the report.")
    sample_records: int = Field(10, ge=0, description="Kept and dropped records shown to read.")
