"""GPU-hours, money and time of scoring a corpus."""

from __future__ import annotations

from dataclasses import dataclass

from mira.cost.decoding import Decoding, decode, sequences_at_once
from mira.cost.lengths import Lengths
from mira.cost.prefill import prefill_flop, prefill_tokens
from mira.cost.shapes import StudentShape
from mira.cost.traffic import traffic_seconds_per_token
from mira.cost.work import Serving, Work


@dataclass(frozen=True)
class Estimate:
    """What scoring a corpus takes. Hours are GPU-hours, those of tensor parallelism included.

    ``traffic_hours`` is the part of both that goes into sums between GPUs. ``sequences`` is the
    most that one replica holds at once; ``decoding`` is None where nothing is written.
    """

    prefill_hours: float
    decode_hours: float
    traffic_hours: float
    sequences: int
    price: float
    flop: float
    decoding: Decoding | None

    @property
    def hours(self) -> float:
        """GPU-hours in all."""
        return self.prefill_hours + self.decode_hours

    @property
    def money(self) -> float:
        """Price of all GPU-hours."""
        return self.hours * self.price

    def wall_hours(self, gpus: int) -> float:
        """Time on so many GPUs, all of them busy to the end."""
        return self.hours / gpus


def estimate(shape: StudentShape, lengths: Lengths, work: Work, serving: Serving) -> Estimate:
    """Reading and writing every record, one after the other in sum (ours, docs/cost.md).

    Raises UserError where the student does not fit the replica's memory.
    """
    flop = prefill_flop(shape, lengths, work)
    traffic_each = traffic_seconds_per_token(shape, serving)
    traffic = prefill_tokens(lengths, work) * traffic_each * serving.gpus
    prefill = flop / (serving.mfu * serving.matmul) + traffic
    writing = None
    written = 0.0
    if work.one_pass or not work.output:
        sequences = sequences_at_once(shape, work, serving, lengths.mean)
    else:
        writing = decode(shape, work, serving, lengths.mean)
        sequences = writing.sequences
        steps = lengths.records * work.output / sequences
        written = steps * writing.seconds * serving.gpus
        traffic += steps * writing.traffic_seconds * serving.gpus
    return Estimate(
        prefill_hours=prefill / 3600,
        decode_hours=written / 3600,
        traffic_hours=traffic / 3600,
        sequences=sequences,
        price=serving.price,
        flop=flop,
        decoding=writing,
    )
