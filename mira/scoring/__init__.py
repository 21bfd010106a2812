"""Scoring the corpus with the students (paper 3.3, cards)."""

STAGE_VERSION = 2
