"""Sampling: sources to normalised records, and the samples that the teacher will see."""

STAGE_VERSION = 1
