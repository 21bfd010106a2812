"""One group's student: labels in, a trained model folder out (paper 3.3)."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pandas as pd

from mira.config import Distillation
from mira.distillation.examples import ExampleSettings, build_examples
from mira.distillation.model import check_pair, load_model, load_tokenizer
from mira.distillation.score_loss import make_score_loss
from mira.distillation.statistics import BINS_FILE, fit_bins
from mira.distillation.targets import complete_labels
from mira.distillation.training import TrainingSettings, train
from mira.errors import UserError
from mira.seeds import derive_seed

log = logging.getLogger(__name__)


def distil(
    labels: pd.DataFrame,
    texts: pd.DataFrame,
    anchors: list[dict[str, Any]],
    settings: Distillation,
    seed: int,
    *,
    base: str,
    model_dir: Path,
    state_path: Path,
    resume_dir: Path,
) -> dict[str, Any]:
    """Fine-tune ``base`` on the labels; returns the trainer state that is also written.

    ``labels`` is the train split of ``labelling/{group}.parquet``; ``texts`` has id, family and
    text. Raises UserError where no label is complete.
    """
    tokenizer = load_tokenizer(base)
    bins = None
    if settings.statistics:
        bins = fit_bins(texts.loc[texts["id"].isin(labels["id"]), "text"].tolist())
    complete = complete_labels(labels, anchors)
    if complete.empty:
        raise UserError(
            "None of the training labels of this group has a score in every slot: see "
            "labelling/rejected.parquet for what the teacher's replies lacked."
        )
    score_loss = None
    if settings.score_loss_weight:
        score_loss = make_score_loss(complete, anchors, tokenizer, settings.score_loss_weight)
    examples = build_examples(
        complete,
        texts,
        anchors,
        tokenizer,
        ExampleSettings(
            style=settings.prompt,
            max_record_tokens=settings.max_record_tokens,
            scores_only_share=settings.scores_only_share,
            seed=seed,
            bins=bins,
            locate_scores=score_loss is not None,
        ),
    )
    log.info("%d examples from %d labels", len(examples), len(labels))

    def load() -> Any:
        model = load_model(base, "float32")
        check_pair(model, tokenizer, base)
        return model

    return train(
        load,
        tokenizer,
        examples,
        _training_settings(settings, seed),
        model_dir=model_dir,
        state_path=state_path,
        resume_dir=resume_dir,
        extra_files={} if bins is None else {BINS_FILE: bins},
        score_loss=score_loss,
    )


def _training_settings(settings: Distillation, seed: int) -> TrainingSettings:
    return TrainingSettings(
        learning_rate=settings.learning_rate,
        batch_size=settings.batch_size,
        warmup_share=settings.warmup_share,
        weight_decay=settings.weight_decay,
        precision=settings.precision,
        save_steps=settings.save_steps,
        seed=derive_seed(seed, "distillation"),
        epochs=settings.epochs,
        gradient_accumulation=settings.gradient_accumulation,
        packed_tokens=settings.packed_tokens if settings.packing else None,
        gradient_checkpointing=settings.gradient_checkpointing,
        deepspeed=settings.deepspeed,
    )
