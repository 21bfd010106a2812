"""Train one group's student; run by rule train_student, or by hand.

python scripts/train_student.py --settings '{...}' --seed 1 --base DIR --labels FILE
    --anchors FILE --samples FILE... --model DIR --state FILE --resume DIR --log-file FILE

Several processes: the same behind ``torchrun --nproc_per_node N``, or behind
``deepspeed --num_accelerators N --no_local_rank``. The first writes FILE as its log, the others
write theirs beside it.
"""

import argparse
import json
from pathlib import Path

from mira.config import Distillation
from mira.distillation.parallel import load_deepspeed, rank
from mira.io import read_jsonl, read_parquet, read_parquets
from mira.logs import logged


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True)
    parser.add_argument("--seed", type=int, required=True)
    for name in ("base", "labels", "anchors", "model", "state", "resume", "log-file"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--samples", type=Path, nargs="+", required=True)
    return parser.parse_args()


def main(arguments: argparse.Namespace) -> None:
    settings = Distillation(**arguments.settings)
    load_deepspeed(settings.deepspeed)  # a mistake in it is told before the slow imports

    import torch

    from mira.distillation.student import distil

    torch.set_num_threads(settings.threads)
    labels = read_parquet(arguments.labels)
    distil(
        labels[labels["split"] == "train"],
        read_parquets(arguments.samples, ["id", "family", "text"]),
        read_jsonl(arguments.anchors),
        settings,
        arguments.seed,
        base=str(arguments.base),
        model_dir=arguments.model,
        state_path=arguments.state,
        resume_dir=arguments.resume,
    )


if __name__ == "__main__":
    parsed = parse_arguments()
    own = parsed.log_file if rank() == 0 else parsed.log_file.with_suffix(f".rank{rank()}.log")
    with logged(own):
        main(parsed)
