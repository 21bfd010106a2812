"""Engine ``openai``: the student behind any OpenAI-compatible chat endpoint.

Such an endpoint takes messages and writes freely, so the scores are read where the student wrote
them, among the 20 most probable tokens at each place (ours). What it cannot be asked is left
open: a score beyond those 20 counts as impossible, and a "1" that was not written is divided
evenly between 1 and 10, which is counted and told.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import openai

from mira.config import Scoring
from mira.config.students import Served
from mira.distillation.targets import score_prefix
from mira.errors import UserError
from mira.scoring.engine import Counters, Decoding, Prompt, Skeleton
from mira.scoring.engines.compact import longest_question
from mira.scoring.engines.endpoint import EndpointClient, usage_of
from mira.scoring.expected import (
    NEGLIGIBLE_ONE,
    chosen_score,
    divide_ten,
    normalise,
    unreadable,
)

TOP_LOGPROBS = 20

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Token:
    """A token written, as text, and the log-probabilities of the likeliest ones there."""

    text: str
    top: Mapping[str, float]


class OpenaiEngine:
    """A chat endpoint that holds one student; ``undivided`` counts slots with an undivided "1".

    ``tokenizer`` is the student's, ``retries`` are the client's. Raises UserError where the URL or
    the key cannot be used.
    """

    name = "openai"
    version = "chat completions"
    batch_size = 1024
    block_tokens = None

    def __init__(self, served: Served, scoring: Scoring, tokenizer: Any, **retries: Any):
        self._client = EndpointClient(served, scoring, **retries)
        self._tokenizer = tokenizer
        self.undivided = 0
        self._counters = Counters()
        self._compared = False

    def expected(self, prompts: Sequence[Prompt], skeleton: Skeleton) -> np.ndarray:
        """Probability of every score in every slot: see ``Engine.expected``.

        All NaN from where a reply leaves the scores-only answer, and where there is no reply.
        Raises UserError where the endpoint gives no log-probabilities.
        """
        asking = {
            "max_tokens": longest_question(skeleton),
            "temperature": 0.0,
            "logprobs": True,
            "top_logprobs": TOP_LOGPROBS,
        }
        replies = self._ask(prompts, [asking] * len(prompts))
        found = np.full((len(prompts), len(skeleton.slots), 11), np.nan)
        endings = [self._tokenizer.decode([token]) for token in skeleton.tokens.endings]
        undivided = 0
        for row, choice in enumerate(replies):
            if choice is not None:
                found[row], left = read_reply(_tokens(choice), skeleton, endings)
                undivided += left
        if undivided:
            self.undivided += undivided
            log.warning(
                "in %d of %d slots read through %s a likely 1 or 10 could not be told apart and "
                "counts half as each: use the engine 'vllm' or 'transformers' for exact scores",
                *(undivided, int((~np.isnan(found[..., 0])).sum()), self._client.url),
            )
        return found

    def write(self, prompts: Sequence[Prompt], decoding: Decoding) -> list[str | None]:
        """One reply per prompt; None where the endpoint gave none."""
        asking = [
            {"max_tokens": decoding.max_new_tokens, **decoding.parameters(row)}
            for row in range(len(prompts))
        ]
        replies = self._ask(prompts, asking)
        return [None if choice is None else choice.message.content for choice in replies]

    def counters(self) -> Counters:
        """What was handled so far, as the endpoint counts it."""
        return self._counters

    def close(self) -> None:
        """Close the connections; the endpoint stays."""
        self._client.close()

    def _ask(self, prompts: Sequence[Prompt], asking: Sequence[dict[str, Any]]) -> list[Any]:
        calls = [
            partial(_chat, model=self._client.model, messages=list(prompt.messages), **body)
            for prompt, body in zip(prompts, asking, strict=True)
        ]
        replies = self._client.ask_all(calls)
        for prompt, reply in zip(prompts, replies, strict=True):
            if reply is not None:
                self._count(prompt, reply)
        return [
            reply.choices[0] if reply is not None and reply.choices else None for reply in replies
        ]

    def _count(self, prompt: Prompt, reply: Any) -> None:
        asked, written = usage_of(reply)
        details = getattr(getattr(reply, "usage", None), "prompt_tokens_details", None)
        cached = getattr(details, "cached_tokens", None)
        counted = self._counters
        known = counted.cached_tokens is not None or cached is not None
        self._counters = Counters(
            counted.prompt_tokens + asked,
            counted.output_tokens + written,
            (counted.cached_tokens or 0) + (cached or 0) if known else None,
        )
        if asked and prompt.ids and not self._compared:
            self._compared = True
            if asked != len(prompt.ids):
                log.warning(
                    "%s reads a prompt of %d tokens as %d: its tokenizer or chat template is not "
                    "the student's, and its scores may differ",
                    *(self._client.url, len(prompt.ids), asked),
                )


def read_reply(
    tokens: Sequence[Token], skeleton: Skeleton, endings: Sequence[str]
) -> tuple[np.ndarray, int]:
    """Probabilities (slots, 11) from a reply's tokens, and how many likely "1" stay undivided.

    ``endings`` are the texts of what may follow a "1": the line's end and "0"; none where 10 is
    one token. A slot is read only where everything before it is the scores-only answer with the
    scores that greedy decoding chooses; from there on all is NaN.
    """
    rows = np.full((len(skeleton.slots), 11), np.nan)
    undivided, place, wanted = 0, 0, ""
    for number, slot in enumerate(skeleton.slots):
        place = _skip(tokens, place, wanted + score_prefix({"slot": slot}))
        if place == len(tokens):
            break
        told = _told(tokens[place], [str(score) for score in range(10 if endings else 11)])
        ending = _ending(tokens, place, endings)
        if np.isinf(told).all() or (endings and ending is None and told.argmax() == 1):
            break
        first = normalise(told)
        if not unreadable(told):
            open_one = bool(endings) and ending is None
            undivided += open_one and bool(first[1] >= NEGLIGIBLE_ONE)
            halves = np.full(2, np.nan) if ending is None else ending
            rows[number] = divide_ten(first, halves) if endings else first
        wanted = f"{chosen_score(first, ending, skeleton.tokens)}\n"
    return rows, undivided


def _ending(tokens: Sequence[Token], place: int, endings: Sequence[str]) -> np.ndarray | None:
    """Probabilities of what follows a "1", where one was written and 10 is split."""
    if not endings or tokens[place].text != "1" or place + 1 == len(tokens):
        return None
    told = _told(tokens[place + 1], endings)
    return None if np.isinf(told).all() else normalise(told)


def _skip(tokens: Sequence[Token], place: int, text: str) -> int:
    """The place behind tokens that write exactly ``text``; beyond the last one if they do not."""
    written = ""
    while place < len(tokens) and len(written) < len(text):
        written += tokens[place].text
        place += 1
    return place if written == text else len(tokens)


def _told(token: Token, texts: Sequence[str]) -> np.ndarray:
    """Log-probabilities of ``texts`` at a token; minus infinity where not told."""
    return np.array([token.top.get(text, -math.inf) for text in texts])


def _tokens(choice: Any) -> list[Token]:
    told = choice.logprobs.content if choice.logprobs is not None else None
    if told is None and choice.message.content:
        raise UserError(
            "The endpoint (scoring.served) gives no log-probabilities, which the readout "
            "'expected' needs: set scoring.readout to 'sample' or 'greedy'."
        )
    return [
        Token(one.token, {top.token: top.logprob for top in one.top_logprobs}) for one in told or []
    ]


async def _chat(client: openai.AsyncOpenAI, **body: Any) -> Any:
    return await client.chat.completions.create(**body)
