"""Figures as small data URIs, so that the page needs no file beside it."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from mira.io import read_json
from mira.report.wording import humanise

BUDGET_BYTES = 3_500_000
WIDTHS = (1600, 1200, 900, 600)
SHOWN = 0.68  # CSS pixels for one of the image, so that type in 200 dpi figures reads like text

CAPTIONS = {
    "agreement": "Spearman correlation of student and teacher per slot, beside tf-idf with ridge "
    "regression: means over the group's sources with their 95 % intervals.",
    "learning_curve": "Held-out agreement of a cheap probe with the teacher at growing numbers of "
    "labels, with 95 % intervals. The line is a power law through the last sizes, dashed one "
    "doubling beyond the labels at hand; dotted where another doubling would add less than the "
    "error of such a gain.",
    "loss_curves": "Loss of the shared pretraining and of each student; open markers are "
    "held-out labels.",
    "reliability_mask": "Mean absolute error of the students on held-out labels, by source and "
    "slot. Hatched cells are masked and do not enter a record's score.",
    "retention": "Share of each source's tokens that each method keeps.",
    "score_length": "Score against length. Grey cells count records, lines join the median scores "
    "of one source; a judge that rewards length alone would draw rising lines.",
    "separation": "How well each method tells intact from damaged records, with 95 % intervals. "
    "Left: AUROC, where 0.5 is chance; right: share of intact records among the kept.",
    "source_similarity": "Cosine similarity of the sources' mean embeddings, outlined by group.",
    "token_flow": "Records and tokens at each step of the run.",
}


@dataclass(frozen=True)
class Figure:
    """One figure: name, title, caption, the image as a data URI, and its size in CSS pixels."""

    name: str
    title: str
    caption: str
    uri: str
    width: int
    height: int


def embed_figures(folder: Path, budget: int = BUDGET_BYTES) -> list[Figure]:
    """Every PNG of ``folder``, shrunk until all of them fit ``budget`` bytes together (ours).

    Images become palettes of 256 colours on white; a caption beside the image
    (``{name}.json`` with ``caption``, or ``{name}.txt``) goes before the built-in one.
    """
    paths = sorted(folder.glob("*.png"))
    figures: list[Figure] = []
    for width in WIDTHS:
        figures = [_embed(path, width) for path in paths]
        if sum(len(figure.uri) for figure in figures) <= budget:
            break
    return figures


def _embed(path: Path, max_width: int) -> Figure:
    from PIL import Image

    with Image.open(path) as original:
        layers = original.convert("RGBA")
    image = Image.new("RGB", layers.size, "white")
    image.paste(layers, mask=layers.getchannel("A"))
    shown = round(image.width * SHOWN), round(image.height * SHOWN)
    if image.width > max_width:
        height = max(1, round(image.height * max_width / image.width))
        image = image.resize((max_width, height), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.quantize(256, dither=Image.Dither.NONE).save(buffer, "PNG")
    encoded = base64.b64encode(buffer.getvalue()).decode("ascii")
    title = humanise(path.stem)
    uri = f"data:image/png;base64,{encoded}"
    return Figure(path.stem, title, _caption(path), uri, *shown)


def _caption(path: Path) -> str:
    described, plain = path.with_suffix(".json"), path.with_suffix(".txt")
    if described.exists() and (caption := read_json(described).get("caption")):
        return caption
    if plain.exists():
        return plain.read_text(encoding="utf-8").strip()
    return CAPTIONS.get(path.stem, "")
