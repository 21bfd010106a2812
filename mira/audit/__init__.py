"""The audit: published numbers against themselves, and a run against its own files and theirs."""

STAGE_VERSION = 1
