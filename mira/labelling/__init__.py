"""Phase 2: the teacher scores records on the group's anchors; its scores are the labels."""

from mira.labelling.stage import label
from mira.labelling.tables import REJECTED_COLUMNS, Labelled, label_dtypes

__all__ = ["REJECTED_COLUMNS", "STAGE_VERSION", "Labelled", "label", "label_dtypes"]

STAGE_VERSION = 2
