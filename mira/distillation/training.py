"""The training loop shared by pretraining and distillation: a Trainer that learns completions.

The same code runs the demo's small models on a CPU and real students under DeepSpeed. It resumes
from its own checkpoints in a folder that outlives a killed job.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.utils.logging import disable_progress_bar

from mira.distillation.batching import order_examples
from mira.distillation.examples import IGNORE
from mira.io import atomic_path, read_json, remove_tree, write_json
from mira.seeds import stable_hash

log = logging.getLogger(__name__)
disable_progress_bar()


@dataclass(frozen=True)
class TrainingSettings:
    """Everything that decides the result of a training run."""

    learning_rate: float
    batch_size: int
    warmup_share: float
    weight_decay: float
    precision: str
    save_steps: int
    seed: int
    epochs: float = 1.0
    max_steps: int = -1
    deepspeed: str | None = None


class CompletionCollator:
    """Pads a batch on the left, so that completions end together and logits can be few."""

    def __init__(self, pad_token_id: int):
        self.pad_token_id = pad_token_id

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Tensors of shape (batch, longest example); ``position_ids`` count real tokens."""
        width = max(example["length"] for example in examples)
        ids = torch.full((len(examples), width), self.pad_token_id)
        labels = torch.full((len(examples), width), IGNORE)
        mask = torch.zeros((len(examples), width), dtype=torch.long)
        for row, example in enumerate(examples):
            start = width - example["length"]
            ids[row, start:] = torch.tensor(example["input_ids"])
            labels[row, start:] = torch.tensor(example["labels"])
            mask[row, start:] = 1
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        return {
            "input_ids": ids,
            "labels": labels,
            "attention_mask": mask,
            "position_ids": positions,
        }


class CompletionTrainer(Trainer):
    """Cross-entropy on labelled tokens, with logits computed only where labels can be."""

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Sum of token losses over the number of labelled tokens in the whole step."""
        labels = inputs.pop("labels")
        labelled = (labels != IGNORE).any(dim=0).nonzero()
        keep = min(labels.shape[1], labels.shape[1] - int(labelled[0]) + 1)
        outputs = model(**inputs, use_cache=False, logits_to_keep=keep)
        targets = labels[:, -keep:][:, 1:]
        logits = outputs.logits[:, :-1].float()
        loss = torch.nn.functional.cross_entropy(
            logits.reshape(-1, logits.shape[-1]),
            targets.reshape(-1),
            ignore_index=IGNORE,
            reduction="sum",
        )
        count = num_items_in_batch if num_items_in_batch is not None else (targets != IGNORE).sum()
        loss = loss / count
        return (loss, outputs) if return_outputs else loss


class LogLines(TrainerCallback):
    """Progress as plain log lines."""

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """One line per logging step: step, loss, learning rate."""
        if logs and "loss" in logs:
            log.info("step %d/%d loss %.4f", state.global_step, state.max_steps, logs["loss"])


def train(
    model: Any,
    tokenizer: Any,
    examples: list[dict[str, Any]],
    settings: TrainingSettings,
    *,
    model_dir: Path,
    state_path: Path,
    resume_dir: Path,
    extra_files: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Train, then write the model folder and its ``trainer_state.json``; returns the state.

    ``extra_files`` are JSON values stored in the model folder under their names.
    A killed run started again continues from its last whole checkpoint in ``resume_dir``, which
    is removed at the end; checkpoints of other settings or examples are not taken up.
    """
    if settings.max_steps == 0:
        return _untrained(model, tokenizer, model_dir, state_path)
    checkpoints = resume_dir / _fingerprint(model, examples, settings)
    arguments = _arguments(settings, checkpoints, len(examples))
    per_step = settings.batch_size * arguments.world_size
    trainer = CompletionTrainer(
        model=model,
        args=arguments,
        train_dataset=order_examples(examples, arguments.max_steps, per_step, settings.seed),
        data_collator=CompletionCollator(tokenizer.pad_token_id),
        processing_class=tokenizer,
        callbacks=[LogLines()],
    )
    trainer.remove_callback(PrinterCallback)
    checkpoint = last_checkpoint(checkpoints)
    if checkpoint:
        log.info("resuming from %s", checkpoint.name)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    finished = checkpoints / "model"
    trainer.save_model(str(finished))
    state = {
        "log_history": trainer.state.log_history,
        "global_step": trainer.state.global_step,
        "epochs": trainer.state.global_step * per_step / len(examples),
        "examples": len(examples),
        "parameters": sum(p.numel() for p in model.parameters()),
    }
    if trainer.is_world_process_zero():
        (finished / "training_args.bin").unlink(missing_ok=True)
        for name, value in (extra_files or {}).items():
            write_json(value, finished / name)
        remove_tree(model_dir)
        finished.rename(model_dir)
        write_json(state, state_path)
        remove_tree(resume_dir)
    return state


def _fingerprint(model: Any, examples: list[dict[str, Any]], settings: TrainingSettings) -> str:
    weights = float(model.get_input_embeddings().weight.detach().double().sum())
    content = (example["input_ids"] for example in examples)
    return f"{stable_hash(model.config.to_json_string(), weights, settings, *content):016x}"


def _untrained(model: Any, tokenizer: Any, model_dir: Path, state_path: Path) -> dict[str, Any]:
    with atomic_path(model_dir) as temporary:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
    state = {"log_history": [], "global_step": 0, "epochs": 0.0, "examples": 0}
    write_json(state, state_path)
    return state


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint whose state file, written last, is whole."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda p: int(p.name.split("-")[1]))
    for checkpoint in reversed(found):
        try:
            read_json(checkpoint / "trainer_state.json")
        except (OSError, ValueError):
            continue
        return checkpoint
    return None


def _arguments(settings: TrainingSettings, resume_dir: Path, n_examples: int) -> TrainingArguments:
    steps = settings.max_steps
    if steps < 0:
        per_step = settings.batch_size * int(os.environ.get("WORLD_SIZE", "1"))
        steps = max(1, round(settings.epochs * n_examples / per_step))
    return TrainingArguments(
        output_dir=str(resume_dir),
        max_steps=steps,
        per_device_train_batch_size=settings.batch_size,
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
        logging_steps=max(1, steps // 60),
        logging_first_step=True,
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
        deepspeed=settings.deepspeed,
    )
