"""Asking a teacher through its provider's batch API: same prompts, same journal, other price."""

from mira.teacher.batch.asking import ask_in_batches

__all__ = ["ask_in_batches"]
