"""Settings: the only truth about keys, types, defaults and where each value comes from.

``config/schema.json`` and ``config/README.md`` are generated from these models
(``python -m mira.config_docs``). Descriptions that name the paper say how the value is known;
"not published" marks a choice of ours.
"""

from mira.config.base import Method, Name, Positive, Section, Share
from mira.config.corpus import Clustering, Fields, Sampling, Source, Tokenizer
from mira.config.loading import load_config, parse_config
from mira.config.rubric import Anchoring, Discovery, Labelling
from mira.config.run import Config
from mira.config.selection import Report, Selection
from mira.config.students import Architecture, Distillation, Pretraining, Scoring, Validation
from mira.config.teacher import Batch, Cap, Prices, Teacher

__all__ = [
    "Anchoring",
    "Architecture",
    "Batch",
    "Cap",
    "Clustering",
    "Config",
    "Discovery",
    "Distillation",
    "Fields",
    "Labelling",
    "Method",
    "Name",
    "Positive",
    "Pretraining",
    "Prices",
    "Report",
    "Sampling",
    "Scoring",
    "Section",
    "Selection",
    "Share",
    "Source",
    "Teacher",
    "Tokenizer",
    "Validation",
    "load_config",
    "parse_config",
]
