"""Writing answers: memory, sequences at once and seconds per step."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mira.cost.shapes import StudentShape
from mira.cost.traffic import traffic_seconds_per_token
from mira.cost.work import Serving, Work
from mira.errors import UserError

_FULL_BYTES = 2
_REPLICA_SIZES = (1, 2, 4, 8, 16)


@dataclass(frozen=True)
class Weights:
    """Bytes of a student's weights, by how often a step reads them."""

    held: float
    read_always: float
    experts: float


@dataclass(frozen=True)
class Decoding:
    """Steady state of a replica that writes: ``sequences`` at once, ``seconds`` per step."""

    sequences: int
    seconds: float
    traffic_seconds: float

    @property
    def tokens_per_second(self) -> float:
        """Output tokens of one replica."""
        return self.sequences / self.seconds


def weights_of(shape: StudentShape, dtype: str) -> Weights:
    """Bytes of the weights. In FP8, embedding and head stay in bfloat16 (assumed).

    A step looks up a few rows of the embedding, so that it reads only the head of the two.
    """
    parts = shape.parameters()
    body_bytes = 1 if dtype == "fp8" else _FULL_BYTES
    outside = (parts.embedding + parts.head) * _FULL_BYTES
    dense = (parts.body - parts.experts) * body_bytes
    experts = parts.experts * body_bytes
    head = parts.embedding * _FULL_BYTES
    return Weights(dense + experts + outside, dense + head, experts)


def sequences_at_once(
    shape: StudentShape, work: Work, serving: Serving, record_tokens: float
) -> int:
    """Sequences that a replica holds at once.

    Raises UserError where the weights, or one sequence beside them, do not fit; it names the
    number of GPUs that would.
    """
    check_divides(shape, serving.gpus)
    fitting = _fitting(shape, work, serving, record_tokens)
    if fitting < 1:
        raise UserError(_too_small(shape, work, serving, record_tokens))
    return min(serving.max_sequences, fitting)


def decode(shape: StudentShape, work: Work, serving: Serving, record_tokens: float) -> Decoding:
    """A step of writing: :func:`step_bytes` at the speed of memory, and sums between GPUs (ours).

    Raises UserError as :func:`sequences_at_once`.
    """
    sequences = sequences_at_once(shape, work, serving, record_tokens)
    moved = step_bytes(shape, work, serving.dtype, serving.gpus, sequences, record_tokens)
    traffic = sequences * traffic_seconds_per_token(shape, serving)
    seconds = moved / (serving.bandwidth * serving.decode_efficiency) + traffic
    return Decoding(sequences, seconds, traffic)


def step_bytes(
    shape: StudentShape, work: Work, dtype: str, gpus: int, sequences: int, record_tokens: float
) -> float:
    """Bytes that one GPU reads and writes in a step that writes one token per sequence (ours).

    ``B`` sequences of ``k`` of ``E`` experts each meet ``1 - (1 - k/E)^B`` of the experts'
    weights; each reads and writes its recurrent state and reads its whole context, the shared
    prompt included.
    """
    weights = weights_of(shape, dtype)
    weight_bytes = weights.read_always + weights.experts * _experts_met(shape, sequences)
    state, cache = _shares(shape, gpus)
    own = 2 * shape.recurrent_bytes() * state
    own += shape.cache_bytes_per_token() * cache * _context(work, record_tokens)
    return weight_bytes / gpus + sequences * own


def check_divides(shape: StudentShape, gpus: int) -> None:
    """Raise UserError unless a replica of so many GPUs can share the heads out evenly."""
    if any(number % gpus for number in _heads(shape)):
        raise UserError(
            f"--tensor-parallel {gpus}: {shape.name} has "
            f"{' and '.join(map(str, _heads(shape)))} heads, which should divide by it. Expected "
            f"one of {', '.join(map(str, _replica_sizes(shape)))}."
        )


def _heads(shape: StudentShape) -> list[int]:
    return [shape.heads, *([shape.linear.value_heads] if shape.linear else [])]


def _replica_sizes(shape: StudentShape) -> list[int]:
    heads = _heads(shape)
    return [size for size in _REPLICA_SIZES if not any(number % size for number in heads)]


def _context(work: Work, record_tokens: float) -> float:
    written = work.output if work.one_pass else work.output / 2
    return work.prompt + record_tokens + written


def _experts_met(shape: StudentShape, sequences: int) -> float:
    if shape.experts is None:
        return 0.0
    missed = 1 - shape.experts.per_token / shape.experts.count
    return 1 - missed**sequences


def _shares(shape: StudentShape, gpus: int) -> tuple[float, float]:
    """A GPU's share of the recurrent state, and of the cache: a head that is on several GPUs is
    kept by each.
    """
    return 1 / gpus, max(1 / gpus, 1 / shape.kv_heads)


def _fitting(shape: StudentShape, work: Work, serving: Serving, record_tokens: float) -> int:
    weights = weights_of(shape, serving.dtype).held / serving.gpus
    free = _usable(serving) - weights - _shared_bytes(shape, work, serving.gpus)
    return int(free // _sequence_bytes(shape, work, serving.gpus, record_tokens))


def _usable(serving: Serving) -> float:
    """Memory of one GPU for weights and sequences."""
    return serving.memory * serving.memory_share - serving.reserve


def _shared_bytes(shape: StudentShape, work: Work, gpus: int) -> float:
    """What a GPU holds of a cached prompt, once for all sequences."""
    _, cache = _shares(shape, gpus)
    return shape.cache_bytes_per_token() * cache * work.prompt if work.cached else 0.0


def _sequence_bytes(shape: StudentShape, work: Work, gpus: int, record_tokens: float) -> float:
    """What a GPU holds of one sequence, half of its answer written: its recurrent state, which
    is never shared, and the cache of all but a cached prompt.
    """
    state, cache = _shares(shape, gpus)
    own = _context(work, record_tokens) - (work.prompt if work.cached else 0.0)
    return shape.state_bytes() * state + shape.cache_bytes_per_token() * cache * own


def _too_small(shape: StudentShape, work: Work, serving: Serving, record_tokens: float) -> str:
    held = weights_of(shape, serving.dtype).held / serving.gpus
    one = _sequence_bytes(shape, work, serving.gpus, record_tokens)
    one += _shared_bytes(shape, work, serving.gpus)
    enough = [
        size
        for size in _replica_sizes(shape)
        if size > serving.gpus
        and _fitting(shape, work, replace(serving, gpus=size), record_tokens) >= 1
    ]
    cures = [f"--tensor-parallel {enough[0]}"] if enough else []
    cures += ["--dtype fp8"] if serving.dtype != "fp8" else []
    cures += ["a GPU with more memory"]
    return (
        f"{shape.name} does not fit: its weights take {held / 1e9:.1f} GB per GPU in "
        f"{serving.dtype} and one sequence with its prompt {one / 1e9:.2f} GB, of "
        f"{_usable(serving) / 1e9:.1f} GB usable on {serving.gpus} x {serving.gpu}. Try "
        f"{' or '.join(cures)}."
    )
