"""Checkpoints that survive a kill: only whole ones are taken up.

A checkpoint is many files, written by several processes. Once all have written theirs, one of
them lists the files with their sizes; a checkpoint is whole if its list is there and fits.
"""

from __future__ import annotations

from pathlib import Path

from mira.io import read_json, remove_tree, write_json

LIST = "whole.json"


def mark_whole(checkpoint: Path) -> None:
    """List the files of a checkpoint that every process has finished."""
    write_json(_sizes(checkpoint), checkpoint / LIST)


def is_whole(checkpoint: Path) -> bool:
    """Whether a checkpoint has a list and the files on it, of the sizes on it."""
    try:
        listed = read_json(checkpoint / LIST)
    except (OSError, ValueError):
        return False
    found = _sizes(checkpoint)
    return bool(listed) and all(found.get(name) == size for name, size in listed.items())


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint in a folder."""
    return next(filter(is_whole, _newest_first(folder)), None)


def keep_only(checkpoint: Path | None, folder: Path) -> None:
    """Remove all checkpoints of a folder but one, so that none is ever written over."""
    for found in _newest_first(folder):
        if found != checkpoint:
            remove_tree(found)


def discard(folder: Path) -> None:
    """Remove a folder so that a kill never leaves half of it under its name."""
    doomed = folder.with_name(f".{folder.name}.discarded")
    remove_tree(doomed)
    if folder.exists():
        folder.rename(doomed)
        remove_tree(doomed)


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("checkpoint-*"), key=lambda p: -int(p.name.split("-")[1]))


def _sizes(checkpoint: Path) -> dict[str, int]:
    files = (path for path in checkpoint.rglob("*") if path.is_file() and path.name != LIST)
    return {str(path.relative_to(checkpoint)): path.stat().st_size for path in files}
