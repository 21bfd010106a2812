"""Tables: one function each, from data frames to a table that is written in three formats."""

STAGE_VERSION = 1
