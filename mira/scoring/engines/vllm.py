"""Engine ``vllm``: the student in vLLM's offline engine, on GPU or CPU.

vLLM lives in an environment of its own (envs/vllm.yaml, requirements-vllm.txt); nothing here
imports it before an engine is opened.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from mira.config import Scoring
from mira.errors import UserError, first_line
from mira.scoring.engine import Counters, Decoding, Prompt, Skeleton
from mira.scoring.engines.compact import Answer, Question, fitting_rows, read_fitting

ENVIRONMENT = {
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
}
"""What vLLM is told through the environment, unless the user says otherwise."""

CPU_ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
}
"""The same on CPU: 1 GiB of cache, cores shared with others, and no second process to feed."""


class VllmEngine:
    """A model loaded by vLLM; ``block_tokens`` is the unit in which its prefix cache keeps.

    ``model`` is a folder or an id; dtype, trust and the section ``vllm`` come from ``scoring``.
    Raises UserError where vLLM is not installed or cannot load the model. On a GPU vLLM starts
    processes that import the calling script again, so the script must guard its entry with
    ``if __name__ == "__main__"``.
    """

    name = "vllm"
    batch_size = 1024

    def __init__(self, model: str, scoring: Scoring):
        on_cpu = prepare_environment()
        self.version = vllm_version()
        self._llm = _load(model, _arguments(model, scoring, on_cpu), on_cpu)
        self.block_tokens = int(self._llm.llm_engine.vllm_config.cache_config.block_size)
        self._max_tokens = int(self._llm.llm_engine.model_config.max_model_len)
        self._counters = Counters(cached_tokens=0)

    def expected(self, prompts: Sequence[Prompt], skeleton: Skeleton) -> np.ndarray:
        """Probability of every score in every slot: see ``Engine.expected``.

        All NaN for a prompt that leaves no room for the answer.
        """
        return read_fitting(prompts, skeleton, self._ask, self._max_tokens)

    def write(self, prompts: Sequence[Prompt], decoding: Decoding) -> list[str | None]:
        """One reply per prompt; None for a prompt that leaves no room for the whole reply."""
        from vllm import SamplingParams

        fitting = fitting_rows(prompts, self._max_tokens - decoding.max_new_tokens)
        params = [
            SamplingParams(max_tokens=decoding.max_new_tokens, **decoding.parameters(row))
            for row in fitting
        ]
        replies: list[str | None] = [None] * len(prompts)
        outputs = self._generate([prompts[row].ids for row in fitting], params)
        for row, output in zip(fitting, outputs, strict=True):
            replies[row] = output.text
        return replies

    def counters(self) -> Counters:
        """What was handled so far; every question counts with its whole prompt."""
        return self._counters

    def close(self) -> None:
        """End vLLM's processes and free its memory."""
        self._llm.llm_engine.engine_core.shutdown()
        del self._llm
        gc.collect()

    def _ask(self, questions: Sequence[Question], watched: Sequence[int]) -> list[Answer | None]:
        from vllm import SamplingParams

        params = [
            SamplingParams(
                max_tokens=question.max_tokens,
                temperature=0.0,
                logprob_token_ids=list(watched),
                detokenize=False,
            )
            for question in questions
        ]
        outputs = self._generate([question.ids for question in questions], params)
        return [_answer(output) for output in outputs]

    def _generate(self, prompts: Sequence[Sequence[int]], params: Sequence[Any]) -> list[Any]:
        if not prompts:
            return []
        inputs = [{"prompt_token_ids": list(ids)} for ids in prompts]
        finished = self._llm.generate(inputs, list(params), use_tqdm=False)
        counted = self._counters
        self._counters = Counters(
            counted.prompt_tokens + sum(map(len, prompts)),
            counted.output_tokens + sum(len(one.outputs[0].token_ids) for one in finished),
            (counted.cached_tokens or 0) + sum(one.num_cached_tokens or 0 for one in finished),
        )
        return [one.outputs[0] for one in finished]


def prepare_environment() -> bool:
    """Set vLLM's variables, which it reads when it is imported; True where it is built for CPU."""
    on_cpu = "cpu" in vllm_version()
    for name, value in (ENVIRONMENT | (CPU_ENVIRONMENT if on_cpu else {})).items():
        os.environ.setdefault(name, value)
    return on_cpu


def vllm_version() -> str:
    """Version of the installed vLLM; UserError where there is none."""
    try:
        return version("vllm")
    except PackageNotFoundError:
        raise UserError(
            "scoring.engine is 'vllm', but this environment has no vLLM. It has one of its own: "
            "run with --sdm conda (envs/vllm.yaml), or install requirements-vllm.txt (GPU) or "
            "requirements-vllm-cpu.txt (CPU: `make .venv-vllm/.ready`) into an environment and "
            "name its interpreter in scoring.vllm.python."
        ) from None


def _arguments(model: str, scoring: Scoring, on_cpu: bool) -> dict[str, Any]:
    settings = scoring.vllm
    return {
        "dtype": scoring.dtype,
        "tensor_parallel_size": settings.tensor_parallel,
        "max_model_len": _longest_context(model, settings.max_model_len, scoring.trust_remote_code),
        "max_num_batched_tokens": settings.max_num_batched_tokens,
        "gpu_memory_utilization": settings.gpu_memory_utilization,
        # Compiled graphs on CPU cost minutes at every start.
        "enforce_eager": settings.enforce_eager or on_cpu,
        "trust_remote_code": scoring.trust_remote_code,
        "enable_prefix_caching": True,
    }


def _load(model: str, arguments: dict[str, Any], on_cpu: bool) -> Any:
    check_model_folder(model)
    try:
        from vllm import LLM
    except ImportError as error:
        raise UserError(
            f"vLLM is installed but cannot be imported ({first_line(error)}): make its "
            "environment anew from envs/vllm.yaml or requirements-vllm-cpu.txt."
        ) from error
    try:
        return LLM(model, **arguments)
    except Exception as error:
        # vLLM raises whatever its parts raise, and from its processes a RuntimeError for all.
        raise UserError(
            f"vLLM could not load '{model}': {first_line(error)}. Check that the folder is a "
            "whole model that this vLLM knows, that it fits in "
            f"{'memory' if on_cpu else 'the GPU (scoring.vllm.tensor_parallel, max_model_len)'}, "
            "and what vLLM logged above."
        ) from error


def check_model_folder(model: str) -> None:
    """Raise UserError where a local folder has unreadable weights; ids are vLLM's to fetch."""
    from safetensors import SafetensorError, safe_open

    folder = Path(model)
    if not folder.is_dir():
        return
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, framework="numpy"):
                pass
        except (SafetensorError, OSError) as error:
            raise UserError(
                f"{path} is not a whole weights file ({first_line(error)}): train the student "
                "again (delete the folder) or copy it anew."
            ) from error


def _longest_context(model: str, wanted: int | None, trust_remote_code: bool) -> int | None:
    """The context to ask for: no more than the model has, which vLLM would refuse."""
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(model, trust_remote_code=trust_remote_code)
    except (OSError, ValueError) as error:
        raise UserError(f"No model configuration at '{model}': {first_line(error)}") from error
    most = getattr(config.get_text_config(), "max_position_embeddings", None)
    return most if wanted is None else min(wanted, most or wanted)


def _answer(output: Any) -> Answer | None:
    if not output.logprobs:
        return None
    logprobs = [{token: one.logprob for token, one in place.items()} for place in output.logprobs]
    return Answer(list(output.token_ids), logprobs)
