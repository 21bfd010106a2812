"""Figures: one module each, a pure function from data frames to a figure and its tidy data."""

STAGE_VERSION = 1
