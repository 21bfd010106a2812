"""Distilling the teacher's labels into one student per group (paper 3.3, cards)."""

STAGE_VERSION = 2
