"""Python's garbage collector, kept from walking what is known to live."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_SELDOM = 100_000


@contextmanager
def collecting_seldom() -> Iterator[None]:
    """Collect after many more allocations than usual within the block (ours).

    Calls in flight and a journal's index are hundreds of thousands of living objects: walking them
    often frees nothing.
    """
    before = gc.get_threshold()
    gc.set_threshold(_SELDOM, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
