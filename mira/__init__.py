"""MIRA: mid-training rubric anchoring for source-aware data selection."""

__version__ = "0.1.0"
