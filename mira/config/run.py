"""All settings of one run, and what they must fulfil together."""

from __future__ import annotations

from pydantic import Field, model_validator

from mira.config.base import Name, Section
from mira.config.corpus import Clustering, Sampling, Source
from mira.config.rubric import Anchoring, Discovery, Labelling
from mira.config.selection import Report, Selection
from mira.config.students import Distillation, Scoring, Validation
from mira.config.teacher import Teacher
from mira.records import Family


class Config(Section):
    """All settings of one run."""

    run: Name = Field(description="Name: results/<run>/, logs/<run>/, benchmarks/<run>/.")
    seed: int = Field(20260528, ge=0, description="Root of every random draw.")
    sources: dict[Name, Source] = Field(min_length=1, description="The corpus, source by source.")
    sampling: Sampling = Field(default_factory=Sampling)
    clustering: Clustering = Field(default_factory=Clustering)
    teacher: Teacher = Field(description="Who judges: an endpoint, or the embedded stand-in.")
    discovery: Discovery = Field(default_factory=Discovery)
    anchoring: Anchoring = Field(default_factory=Anchoring)
    labelling: Labelling = Field(default_factory=Labelling)
    distillation: Distillation = Field(default_factory=Distillation)
    validation: Validation = Field(default_factory=Validation)
    scoring: Scoring = Field(default_factory=Scoring)
    selection: Selection = Field(default_factory=Selection)
    report: Report = Field(default_factory=Report)

    @model_validator(mode="after")
    def _groups_fit_sources(self) -> Config:
        for family, k in self.groups_by_family().items():
            members = [s for s in self.sources.values() if family in (None, s.family)]
            if k > len(members):
                where = f" of family '{family}'" if family else ""
                raise ValueError(
                    f"clustering.k asks for {k} groups{where}, but there are only {len(members)} "
                    f"such sources: lower clustering.k or add sources"
                )
        return self

    @model_validator(mode="after")
    def _short_answers_are_learnt(self) -> Config:
        published = self.distillation.students == "published"
        learnt = published or self.distillation.scores_only_share > 0
        if self.scoring.readout == "expected" and not learnt:
            raise ValueError(
                "scoring.readout 'expected' decodes scores-only answers, which students never saw: "
                "set distillation.scores_only_share above 0 (0.5, say)"
            )
        return self

    @model_validator(mode="after")
    def _students_made_here_are_measured(self) -> Config:
        if self.validation.mask == "none" and self.distillation.students == "trained":
            raise ValueError(
                "validation.mask 'none' is for distillation.students 'published': students that "
                "are trained here have labels to be measured with"
            )
        return self

    def groups_by_family(self) -> dict[Family | None, int]:
        """Number of groups per family, or under None when clustering runs over all sources."""
        if self.clustering.within == "all":
            if isinstance(self.clustering.k, dict):
                raise ValueError("clustering.k must be one number when clustering.within is 'all'")
            return {None: self.clustering.k}
        families = sorted({source.family for source in self.sources.values()})
        k = self.clustering.k
        if isinstance(k, int):
            return dict.fromkeys(families, k)
        if missing := [family for family in families if family not in k]:
            raise ValueError(f"clustering.k has no entry for family {', '.join(missing)}")
        return {family: k[family] for family in families}

    def group_names(self) -> list[str]:
        """Names of all groups, known before clustering: g1..gk, or family-1.. ."""
        return [
            f"{family}-{i}" if family else f"g{i}"
            for family, k in self.groups_by_family().items()
            for i in range(1, k + 1)
        ]

    def asks_teacher(self) -> bool:
        """Whether anything in the run rests on a teacher's word."""
        return self.distillation.students == "trained" or self.validation.mask == "measured"

    def students_are_large(self) -> bool:
        """Whether students have a published base, and so want a GPU where there is one."""
        trained = self.distillation.students == "trained"
        return not trained or self.distillation.base_model is not None

    def stand_in(self) -> str | None:
        """The notice for outputs made with stand-in models, or None for a real run."""
        parts = []
        if self.teacher.kind == "embedded" and self.asks_teacher():
            parts.append("an embedded rule-based teacher")
        if not self.students_are_large():
            parts.append("toy students trained from scratch")
        if not parts:
            return None
        return f"Stand-in run: made with {' and '.join(parts)}; not a result about real models."
