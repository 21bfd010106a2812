"""Seeds and stable hashes derived from names, so that no result depends on order or process.

Everything random in mira draws from ``derive_seed(root, stage, key, ...)``: adding a source or
reordering records leaves every other draw unchanged.
"""

from __future__ import annotations

import hashlib

import numpy as np


def stable_hash(*parts: object) -> int:
    """64-bit hash of the parts' text, the same on every machine and Python version (ours)."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def derive_seed(root: int, *names: object) -> int:
    """A 32-bit seed for one named task under the run's root seed (ours)."""
    return stable_hash(root, *names) % 2**32


def derive_rng(root: int, *names: object) -> np.random.Generator:
    """A NumPy generator for one named task under the run's root seed (ours)."""
    return np.random.default_rng(derive_seed(root, *names))
