"""The training run shared by pretraining and distillation: a Trainer that learns completions.

The same code runs the demo's small models on a CPU and real students under DeepSpeed. It resumes
from its own checkpoints in a folder that outlives a killed job.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PrinterCallback, TrainingArguments
from transformers.utils.logging import disable_progress_bar

from mira.distillation.batching import count_steps, order_examples, order_packed, pack_epoch
from mira.distillation.checkpoints import discard, keep_only, last_checkpoint
from mira.distillation.collating import PackedCollator, PaddedCollator
from mira.distillation.packing import carries_state
from mira.distillation.parallel import (
    barrier,
    load_deepspeed,
    prepare_deepspeed,
    rank,
    world_size,
)
from mira.distillation.score_loss import ScoreLoss
from mira.distillation.trainer import (
    LOG_LINES,
    CompletionTrainer,
    IsolationCheck,
    LogLines,
    WholeCheckpoints,
    not_a_number,
)
from mira.errors import UserError
from mira.io import atomic_path, remove_tree, write_json

log = logging.getLogger(__name__)
disable_progress_bar()


@dataclass(frozen=True)
class TrainingSettings:
    """Everything that decides the result of a training run, but for the examples.

    ``batch_size`` counts rows per process and batch; a row is one example, or with
    ``packed_tokens`` as many as fit.
    """

    learning_rate: float
    batch_size: int
    warmup_share: float
    weight_decay: float
    precision: str
    save_steps: int
    seed: int
    epochs: float = 1.0
    max_steps: int = -1
    gradient_accumulation: int = 1
    packed_tokens: int | None = None
    gradient_checkpointing: bool = False
    deepspeed: str | None = None

    @property
    def rows_per_step(self) -> int:
        """Rows of one optimizer step, in all processes together."""
        return self.batch_size * self.gradient_accumulation * world_size()


def train(
    model: Any | Callable[[], Any],
    tokenizer: Any,
    examples: list[dict[str, Any]],
    settings: TrainingSettings,
    *,
    model_dir: Path,
    state_path: Path,
    resume_dir: Path,
    extra_files: Mapping[str, Any] | None = None,
    score_loss: ScoreLoss | None = None,
) -> dict[str, Any]:
    """Train, then write the model folder and its ``trainer_state.json``; returns the state.

    ``model`` is a model, or a function that loads one: called once DeepSpeed is set up, so that
    under ZeRO-3 no process ever holds the whole. ``extra_files`` are JSON values stored in the
    model folder under their names.
    A killed run started again continues from its last whole checkpoint in ``resume_dir``, which
    is removed at the end; checkpoints of other settings, examples or numbers of processes are
    not taken up. Raises UserError where the loss or the weights are no numbers any more, where
    the DeepSpeed configuration is unusable, and where packing would mix examples.
    """
    if settings.max_steps == 0:
        return _untrained(_made(model), tokenizer, model_dir, state_path)
    deepspeed = load_deepspeed(settings.deepspeed)
    if deepspeed is not None:
        prepare_deepspeed()
    steps = _count_steps(examples, settings)
    arguments = _arguments(settings, resume_dir, steps, deepspeed)
    # One process is one GPU: otherwise a lone process would spread batches over all it sees.
    arguments._n_gpu = min(1, arguments.n_gpu)
    model = _made(model)
    checkpoints = resume_dir / _fingerprint(model, examples, settings, deepspeed, score_loss)
    arguments.output_dir = str(checkpoints)
    trainer = _trainer(model, tokenizer, examples, settings, arguments, score_loss)
    checkpoint = _find_checkpoint(checkpoints)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    _check_finite(model)
    finished = checkpoints / "model"
    trainer.save_model(str(finished))
    state = {
        "log_history": trainer.state.log_history,
        "global_step": trainer.state.global_step,
        "epochs": _epochs(examples, settings, steps),
        "examples": len(examples),
        "parameters": sum(_size(p) for p in model.parameters()),
    }
    barrier()
    if rank() == 0:
        (finished / "training_args.bin").unlink(missing_ok=True)
        for name, value in (extra_files or {}).items():
            write_json(value, finished / name)
        remove_tree(model_dir)
        finished.rename(model_dir)
        write_json(state, state_path)
        discard(resume_dir)
    barrier()
    return state


def _made(model: Any | Callable[[], Any]) -> Any:
    return model if isinstance(model, torch.nn.Module) else model()


def _trainer(
    model: Any,
    tokenizer: Any,
    examples: list[dict[str, Any]],
    settings: TrainingSettings,
    arguments: TrainingArguments,
    score_loss: ScoreLoss | None,
) -> CompletionTrainer:
    rows: Sequence[Sequence[dict[str, Any]]]
    collator: PackedCollator | PaddedCollator
    per_step = settings.rows_per_step
    needed = arguments.max_steps * per_step
    if settings.packed_tokens is None:
        ordered = order_examples(examples, arguments.max_steps, per_step, settings.seed)
        rows = [[example] for example in ordered]
        collator = PaddedCollator(tokenizer.pad_token_id)
    else:
        with_state = carries_state(model)
        if with_state and settings.batch_size > 1:
            raise UserError(
                "distillation.packing with this model takes one row per batch, since some of its "
                "layers carry a state along the row: set batch_size to 1 and "
                f"gradient_accumulation to {settings.batch_size * settings.gradient_accumulation}."
            )
        rows = order_packed(examples, settings.packed_tokens, needed, settings.seed)
        collator = PackedCollator(tokenizer.pad_token_id, with_state)
    trainer = CompletionTrainer(
        model=model,
        args=arguments,
        train_dataset=rows,
        data_collator=collator,
        processing_class=tokenizer,
        callbacks=[LogLines(), WholeCheckpoints()],
        score_loss=score_loss,
    )
    trainer.remove_callback(PrinterCallback)
    if settings.packed_tokens is not None:
        trainer.add_callback(IsolationCheck(trainer))
    return trainer


def _rows_per_epoch(examples: list[dict[str, Any]], settings: TrainingSettings) -> int:
    if settings.packed_tokens is None:
        return len(examples)
    lengths = np.array([example["length"] for example in examples])
    return len(pack_epoch(lengths, settings.packed_tokens, settings.seed))


def _count_steps(examples: list[dict[str, Any]], settings: TrainingSettings) -> int:
    if settings.max_steps > 0:
        return settings.max_steps
    rows = _rows_per_epoch(examples, settings)
    return count_steps(settings.epochs, rows, settings.rows_per_step)


def _epochs(examples: list[dict[str, Any]], settings: TrainingSettings, steps: int) -> float:
    return steps * settings.rows_per_step / _rows_per_epoch(examples, settings)


def _fingerprint(
    model: Any,
    examples: list[dict[str, Any]],
    settings: TrainingSettings,
    deepspeed: dict[str, Any] | None,
    score_loss: ScoreLoss | None,
) -> str:
    digest = hashlib.blake2b(digest_size=8)
    weights = _embedding_sum(model)
    described = (weights, settings, deepspeed, score_loss, world_size())
    digest.update(f"{model.config.to_json_string()} {described}".encode())
    for example in examples:
        for key in ("input_ids", "labels"):
            digest.update(np.asarray(example[key], dtype=np.int32).tobytes())
        digest.update(repr(example.get("scores")).encode())
    return digest.hexdigest()


def _embedding_sum(model: Any) -> float:
    weight = model.get_input_embeddings().weight
    if not hasattr(weight, "ds_id"):
        return float(weight.detach().double().sum())
    import deepspeed

    with deepspeed.zero.GatheredParameters([weight]):
        return float(weight.detach().double().sum())


def _size(parameter: Any) -> int:
    return int(getattr(parameter, "ds_numel", parameter.numel()))


def _check_finite(model: Any) -> None:
    for name, parameter in model.named_parameters():
        held = getattr(parameter, "ds_tensor", parameter)
        if not torch.isfinite(held).all():
            raise not_a_number(f"the weight {name} after the last step")


def _find_checkpoint(folder: Path) -> Path | None:
    """The checkpoint to resume from, the same in every process; the others are removed."""
    barrier()
    checkpoint = last_checkpoint(folder)
    barrier()
    if rank() == 0:
        keep_only(checkpoint, folder)
        remove_tree(folder / "model")
        if checkpoint:
            log.info("resuming from %s", checkpoint.name)
    barrier()
    return checkpoint


def _untrained(model: Any, tokenizer: Any, model_dir: Path, state_path: Path) -> dict[str, Any]:
    state = {"log_history": [], "global_step": 0, "epochs": 0.0, "examples": 0}
    if rank() == 0:
        with atomic_path(model_dir) as temporary:
            model.save_pretrained(temporary)
            tokenizer.save_pretrained(temporary)
        write_json(state, state_path)
    return state


def _logging_steps(steps: int, save_steps: int) -> int:
    """About 60 entries of the loss; a divisor, so that a checkpoint never falls inside one."""
    wanted = max(1, steps // LOG_LINES)
    return max(size for size in range(1, wanted + 1) if save_steps % size == 0)


def _arguments(
    settings: TrainingSettings, output_dir: Path, steps: int, deepspeed: dict[str, Any] | None
) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(output_dir),
        max_steps=steps,
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.gradient_accumulation,
        activation_checkpointing=settings.gradient_checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False},
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=round(settings.warmup_share * steps),
        weight_decay=settings.weight_decay,
        bf16=settings.precision == "bfloat16",
        use_cpu=not torch.cuda.is_available(),
        seed=settings.seed,
        data_seed=settings.seed,
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        save_strategy="steps",
        save_steps=settings.save_steps,
        save_total_limit=2,
        logging_steps=_logging_steps(steps, settings.save_steps),
        logging_first_step=True,
        logging_nan_inf_filter=False,
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
        ddp_find_unused_parameters=False,
        deepspeed=deepspeed,
    )
