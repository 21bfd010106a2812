"""transformers' Trainer as completions need it: the loss, and what is watched on the way."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainerCallback

from mira.distillation.checkpoints import mark_whole
from mira.distillation.examples import IGNORE
from mira.distillation.packing import check_isolated
from mira.distillation.parallel import barrier
from mira.distillation.score_loss import ScoreLoss
from mira.errors import UserError

log = logging.getLogger(__name__)
LOG_LINES = 60


class CompletionTrainer(Trainer):
    """Cross-entropy on labelled tokens, with logits computed only where there are some.

    With ``score_loss`` its squared error is added. Both are means over the whole optimizer step:
    all its batches, in all processes.
    """

    loss_is_scaled_for_ga = True

    def __init__(self, *args: Any, score_loss: ScoreLoss | None = None, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.score_loss = score_loss

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[dict[str, torch.Tensor]], torch.Tensor]:
        """The step's batches in this process; labelled tokens and scores in all processes, (2,)."""
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        tokens = sum(int((batch["labels"] != IGNORE).sum()) for batch in batches)
        scores = sum(len(batch["scores"]) for batch in batches)
        counts = torch.tensor([[tokens, scores]], device=device)
        return batches, self.accelerator.gather(counts).reshape(-1, 2).sum(0)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """This batch's share of the step's loss, times the processes that it is averaged over.

        Raises UserError where it is no number: a step with it would spoil every weight.
        """
        labels, scores = inputs.pop("labels"), inputs.pop("scores")
        # What each column is to predict; the last one has nothing after it.
        targets = torch.nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORE)
        columns = (targets != IGNORE).any(dim=0).nonzero().squeeze(1)
        rows, at, values = scores.unbind(1)
        if self.score_loss is not None:
            columns = torch.cat([columns, at - 1, at]).unique()
        logits = model(**inputs, use_cache=False, logits_to_keep=columns).logits
        targets = targets[:, columns]
        labelled = targets != IGNORE
        loss = torch.nn.functional.cross_entropy(
            logits[labelled].float(), targets[labelled], reduction="sum"
        )
        tokens, slots = num_items_in_batch
        loss = loss / tokens
        if self.score_loss is not None and len(scores):
            first, second = (torch.searchsorted(columns, c.contiguous()) for c in (at - 1, at))
            errors = self.score_loss.squared_errors(
                logits[rows, first], logits[rows, second], values
            )
            loss = loss + self.score_loss.weight * errors / slots
        if not torch.isfinite(loss):
            raise not_a_number(f"the loss of step {self.state.global_step + 1}")
        loss = loss * self.accelerator.num_processes
        return (loss, logits) if return_outputs else loss


def not_a_number(what: str) -> UserError:
    """The error for training that has gone astray."""
    return UserError(
        f"Training stopped: {what} is not a finite number. No model was written. Lower "
        "distillation.learning_rate, raise warmup_share, or set precision to float32; where the "
        "first step fails, look at the base model."
    )


class LogLines(TrainerCallback):
    """Progress as plain log lines, about 60 of them."""

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """One line per logging step: step, loss."""
        if state.is_world_process_zero and logs and "loss" in logs:
            log.info("step %d/%d loss %.4f", state.global_step, state.max_steps, logs["loss"])


class WholeCheckpoints(TrainerCallback):
    """Marks a checkpoint when every process has written its part."""

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Wait for all, then list the files."""
        barrier()
        if state.is_world_process_zero:
            mark_whole(Path(args.output_dir) / f"checkpoint-{state.global_step}")


class IsolationCheck(TrainerCallback):
    """Refuses packing before the first step where examples would see each other."""

    def __init__(self, trainer: Trainer):
        self.trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Measure it on the model as the trainer has wrapped it."""
        run = self.trainer.model_wrapped
        run.eval()
        check_isolated(self.trainer.model, run, args.device)
        run.train()
