"""The smoke run: its settings, the files it must leave, and how each kind is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
import zstandard

from mira.config import load_config

HERE = Path(__file__).parent
CONFIG = HERE / "config.yaml"
SETTINGS = load_config(CONFIG)
WILDCARDS = {
    "source": sorted(SETTINGS.sources),
    "group": SETTINGS.group_names(),
    "method": list(SETTINGS.selection.methods),
    "stage": [
        *("sampling", "clustering", "discovery", "anchoring", "labelling"),
        *("distillation", "validation", "scoring"),
    ],
    "figure": [
        *("source_similarity", "reliability_mask", "agreement", "score_length"),
        *("loss_curves", "retention", "separation"),
    ],
    "table": ["headline", "groups", "anchors", "trust", "retention", "separation"],
}


def expand(pattern: str) -> list[str]:
    """The paths of a pattern, its wildcards filled with the smoke run's values."""
    paths = [pattern]
    for wildcard, values in WILDCARDS.items():
        paths = [path.replace(f"{{{wildcard}}}", value) for path in paths for value in values]
    return sorted(set(paths))


def promised_files() -> dict[str, set[str]]:
    """Columns or keys by path below results/<run>/."""
    patterns = yaml.safe_load((HERE / "files.yaml").read_text(encoding="utf-8"))
    return {
        path: set(cols.split()) for pattern, cols in patterns.items() for path in expand(pattern)
    }


def unpacked_rows(path: Path) -> list[dict[str, Any]]:
    with path.open("rb") as handle:
        text = zstandard.ZstdDecompressor().stream_reader(handle).read().decode("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def _rows(path: Path) -> pd.DataFrame:
    return pd.DataFrame([json.loads(line) for line in path.open(encoding="utf-8")])


def _starts_with(mark: bytes) -> Callable[[Path], tuple]:
    def check(path: Path) -> tuple:
        assert path.read_bytes().startswith(mark), path
        return ()

    return check


def _text(path: Path) -> tuple:
    assert path.read_text(encoding="utf-8").strip(), path
    return ()


def _weights(path: Path) -> list[str]:
    from safetensors import safe_open

    with safe_open(path, framework="np") as weights:
        return list(weights.keys())


READERS: dict[str, Callable] = {
    ".parquet": pd.read_parquet,
    ".csv": pd.read_csv,
    ".json": lambda path: json.loads(path.read_text(encoding="utf-8")),
    ".jsonl": _rows,
    ".zst": unpacked_rows,
    ".pdf": _starts_with(b"%PDF-"),
    ".png": _starts_with(b"\x89PNG\r\n"),
    ".html": _starts_with(b"<!doctype html>"),
    ".md": _text,
    ".tex": _text,
    ".jinja": _text,
    ".safetensors": _weights,
}
