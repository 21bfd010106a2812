"""Prompt injection: records that talk to the judge, and what they do to parser and scores."""
