"""A squared error of the expected score beside the cross-entropy (regression-aware, ours).

Cross-entropy knows no distance: a 3 in place of a 9 costs what an 8 does. This term does. At each
score of the completion the logits are restricted to the score tokens, and the expectation of the
score under them is compared with the label, on the 0-10 scale, squared and divided by 100.

Where the tokenizer splits "10" into "1" and "0", the first digit cannot tell 1 from 10. There
the token "1" stands for one constant value, the mean of the 1s and 10s among the training labels,
in expectation and label alike; and where the label starts with "1", the choice between "0" and
the end of the score is a second squared error, of ``10 P(0) + 1 P(end)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from mira.distillation.targets import rationale_prefix, score_prefix, score_text
from mira.errors import UserError
from mira.scoring.tokens import ScoreTokens, encode, find_score_tokens

SCALE = 100.0
NEITHER = 5.5


@dataclass(frozen=True)
class ScoreLoss:
    """What the term needs to know: its weight, the score tokens, and what "1" stands for.

    ``ends`` are the tokens that may follow a finished score, one per answer format.
    """

    weight: float
    first: tuple[int, ...]
    zero: int | None
    ends: tuple[int, ...]
    value_of_one: float

    @property
    def digits(self) -> tuple[int, ...]:
        """The tokens that a score can begin with."""
        return self.first if self.zero is None else self.first[:10]

    @property
    def values(self) -> list[float]:
        """The score that each of ``digits`` stands for."""
        values = [float(score) for score in range(len(self.digits))]
        if self.zero is not None:
            values[1] = self.value_of_one
        return values

    def squared_errors(
        self, first_logits: torch.Tensor, second_logits: torch.Tensor, scores: torch.Tensor
    ) -> torch.Tensor:
        """Sum of squared errors / 100 over scores.

        ``first_logits`` (scores, vocabulary) predict a score's first token and ``second_logits``
        the token after it; ``scores`` (scores,) are the labels, 0 to 10.
        """
        values = torch.tensor(self.values, device=scores.device)
        probabilities = first_logits[:, list(self.digits)].float().softmax(-1)
        target = scores.float()
        if self.zero is None:
            return ((probabilities @ values - target) ** 2).sum() / SCALE
        one = (scores == 1) | (scores == 10)
        error = probabilities @ values - torch.where(one, self.value_of_one, target)
        return ((error**2).sum() + self._second(second_logits[one], target[one])) / SCALE

    def _second(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        logits = logits[:, [self.zero, *self.ends]].float()
        ten = logits.softmax(-1)[:, 0]
        return ((10 * ten + (1 - ten) - target) ** 2).sum()


def make_score_loss(
    labels: pd.DataFrame, anchors: list[dict[str, Any]], tokenizer: Any, weight: float
) -> ScoreLoss:
    """The term for one group's labels; UserError where scores cannot be told by their tokens."""
    if not tokenizer.is_fast:
        raise _unfit("it has no tokenizer.json")
    formats = [(rationale_prefix(anchors[0]), "/10"), (score_prefix(anchors[0]), "\n")]
    found = [_score_tokens(tokenizer, prefix) for prefix, _ in formats]
    if found[0].first != found[1].first:
        raise _unfit("its score tokens differ between answers with and without rationales")
    ends = tuple(dict.fromkeys(_end(tokenizer, prefix, rest) for prefix, rest in formats))
    columns = [f"s{number}" for number in range(1, len(anchors) + 1)]
    scores = labels[columns].to_numpy(float).round()
    ones, tens = int((scores == 1).sum()), int((scores == 10).sum())
    value = (ones + 10 * tens) / (ones + tens) if ones + tens else NEITHER
    return ScoreLoss(weight, found[0].first, found[0].zero, ends, value)


def _score_tokens(tokenizer: Any, prefix: str) -> ScoreTokens:
    try:
        return find_score_tokens(tokenizer, prefix)
    except UserError as error:
        raise _unfit(f"it does not keep the score apart in '{prefix}8'") from error


def _end(tokenizer: Any, prefix: str, rest: str) -> int:
    return encode(tokenizer, f"{prefix}1{rest}")[len(encode(tokenizer, f"{prefix}1"))]


def _unfit(why: str) -> UserError:
    return UserError(
        f"distillation.score_loss_weight cannot be used with this tokenizer: {why}. Set it to 0."
    )


def locate_scores(
    target: str,
    label: Mapping[Any, Any],
    anchors: list[dict[str, Any]],
    rationales: bool,
    tokenizer: Any,
) -> list[tuple[int, int]]:
    """Where the scores of a rendered target are: (index of the first token, score) per slot.

    Raises UserError where a score does not begin a token of its own.
    """
    found = tokenizer(target, add_special_tokens=False, return_offsets_mapping=True)
    starts = np.array([start for start, _ in found["offset_mapping"]])
    lines = f"\n{target}"
    places: list[tuple[int, int]] = []
    begin = 0
    for number, anchor in enumerate(anchors, start=1):
        prefix = rationale_prefix(anchor) if rationales else score_prefix(anchor)
        score = score_text(label[f"s{number}"])
        begin = lines.index(f"\n{prefix}{score}", begin) + len(prefix)
        index = int(np.searchsorted(starts, begin))
        if index == len(starts) or starts[index] != begin:
            raise _unfit(f"the score in '{prefix}{score}' does not begin a token of its own")
        places.append((index, int(score)))
    return places
