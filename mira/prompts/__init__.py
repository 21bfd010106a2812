"""Prompts: versioned template files, filled with fenced records."""

from mira.prompts.again import ask_again
from mira.prompts.anchored import answer_template, build_anchored
from mira.prompts.fence import fence, fenced_record, fit_text, well_formed
from mira.prompts.freeform import build_freeform
from mira.prompts.template import Message, prompt_hash, template_version

__all__ = [
    "Message",
    "answer_template",
    "ask_again",
    "build_anchored",
    "build_freeform",
    "fence",
    "fenced_record",
    "fit_text",
    "prompt_hash",
    "template_version",
    "well_formed",
]
