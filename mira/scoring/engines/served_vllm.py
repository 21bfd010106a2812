"""Engine ``vllm``, served: the same questions to a vLLM server, as token ids over HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import openai

from mira.config import Scoring
from mira.config.students import Served
from mira.errors import UserError
from mira.scoring.engine import Counters, Decoding, Prompt, Skeleton
from mira.scoring.engines.compact import Answer, Question, fitting_rows, read_fitting
from mira.scoring.engines.endpoint import EndpointClient, usage_of

_HITS = re.compile(r"^vllm:prefix_cache_hits_total(?:\{[^}]*\})? (\S+)", re.MULTILINE)
_TOKEN = "token_id:"


class ServedVllmEngine:
    """A vLLM server that holds one student.

    ``retries`` are the client's. The prefix cache is the whole server's: what others ask at the
    same time counts too. Raises UserError where the server cannot be used.
    """

    name = "vllm"
    batch_size = 1024
    block_tokens = 16

    def __init__(self, served: Served, scoring: Scoring, **retries: Any):
        self._client = EndpointClient(served, scoring, **retries)
        self._max_tokens = self._read_context()
        self.version = f"{self._read_version()} served"
        self._counters = Counters()
        self._hits_before = self._read_hits()

    def expected(self, prompts: Sequence[Prompt], skeleton: Skeleton) -> np.ndarray:
        """Probability of every score in every slot: see ``Engine.expected``.

        All NaN for a prompt that leaves no room for the answer, or that the server refused.
        """
        return read_fitting(prompts, skeleton, self._ask, self._max_tokens)

    def write(self, prompts: Sequence[Prompt], decoding: Decoding) -> list[str | None]:
        """One reply per prompt; None where it has no room or the server gave none."""
        fitting = fitting_rows(prompts, self._max_tokens - decoding.max_new_tokens)
        replies: list[str | None] = [None] * len(prompts)
        calls = [
            partial(
                _complete,
                model=self._client.model,
                prompt=list(prompts[row].ids),
                max_tokens=decoding.max_new_tokens,
                **decoding.parameters(row),
            )
            for row in fitting
        ]
        for row, reply in zip(fitting, self._client.ask_all(calls), strict=True):
            if reply is not None:
                self._count(reply)
                replies[row] = reply.choices[0].text
        return replies

    def counters(self) -> Counters:
        """What was handled so far; ``cached_tokens`` from the server's own metrics."""
        hits = self._read_hits()
        known = hits is not None and self._hits_before is not None
        cached = int(hits - self._hits_before) if known else None  # type: ignore[operator]
        counted = self._counters
        return Counters(counted.prompt_tokens, counted.output_tokens, cached)

    def close(self) -> None:
        """Close the connections; the server stays."""
        self._client.close()

    def _ask(self, questions: Sequence[Question], watched: Sequence[int]) -> list[Answer | None]:
        calls = [
            partial(
                _complete,
                model=self._client.model,
                prompt=list(question.ids),
                max_tokens=question.max_tokens,
                temperature=0.0,
                logprobs=len(watched),
                extra_body={"logprob_token_ids": watched, "return_tokens_as_token_ids": True},
            )
            for question in questions
        ]
        return [self._answer(reply) for reply in self._client.ask_all(calls)]

    def _answer(self, reply: Any) -> Answer | None:
        if reply is None:
            return None
        self._count(reply)
        told = reply.choices[0].logprobs
        if told is None or not told.tokens:
            return None
        places = [
            {_token_id(token): logprob for token, logprob in (place or {}).items()}
            for place in told.top_logprobs
        ]
        return Answer([_token_id(token) for token in told.tokens], places)

    def _count(self, reply: Any) -> None:
        prompt, output = usage_of(reply)
        counted = self._counters
        self._counters = Counters(counted.prompt_tokens + prompt, counted.output_tokens + output)

    def _read_context(self) -> int:
        """Tokens of the server's context; UserError where the model is not served there."""
        listed = self._client.ask(lambda client: _models(client))
        names = {model.id: getattr(model, "max_model_len", None) for model in listed}
        if self._client.model not in names:
            raise UserError(
                f"{self._client.url} serves {sorted(names)}, not '{self._client.model}': "
                "check scoring.served."
            )
        length = names[self._client.model]
        if not isinstance(length, int):
            raise UserError(
                f"{self._client.url} does not say max_model_len, so it is no vLLM server: set "
                "scoring.engine to 'openai' for other endpoints."
            )
        return length

    def _read_version(self) -> str:
        page = self._client.fetch_text("/version")
        try:
            return str(json.loads(page or "")["version"])
        except (ValueError, KeyError, TypeError):
            return "unknown"

    def _read_hits(self) -> float | None:
        page = self._client.fetch_text("/metrics")
        found = _HITS.findall(page or "")
        return sum(map(float, found)) if found else None


async def _complete(client: openai.AsyncOpenAI, **body: Any) -> Any:
    return await client.completions.create(**body)


async def _models(client: openai.AsyncOpenAI) -> list[Any]:
    return (await client.models.list()).data


def _token_id(token: str) -> int:
    """The id in ``token_id:17``; -1 for what is none, which no question watches."""
    digits = token.removeprefix(_TOKEN)
    return int(digits) if digits.isdigit() else -1
