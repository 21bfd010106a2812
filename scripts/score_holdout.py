"""Score the held-out labelled records; run by rule score_holdout, or by hand.

Takes its arguments from the command line, because engines live in environments of their own.
"""

import argparse
from pathlib import Path

import pandas as pd

from mira.io import read_jsonl, read_parquet, read_parquets, write_parquet
from mira.logs import logged
from mira.scoring.arguments import add_student_arguments, open_named_student
from mira.scoring.shards import discard_part, score_shard
from mira.seeds import stable_hash

COLUMNS = ["id", "family", "text", "n_tokens"]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_student_arguments(parser)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--samples", type=Path, nargs="+", required=True)
    parser.add_argument("--compare", type=int, required=True, help="records also sampled")
    parser.add_argument("--scores", type=Path, required=True)
    parser.add_argument("--compared", type=Path, required=True)
    return parser.parse_args()


def draw_compared(records: pd.DataFrame, n: int, seed: int) -> pd.DataFrame:
    """``n`` of the group's held-out records, by a stable hash of the id."""
    chosen = sorted(records["id"], key=lambda i: (stable_hash(seed, "compare", i), i))[:n]
    return records[records["id"].isin(chosen)]


def main(arguments: argparse.Namespace) -> None:
    labels = read_parquet(arguments.labels, ["id", "split"])
    held_out = labels.loc[labels["split"] == "validation", "id"]
    samples = read_parquets(arguments.samples, COLUMNS)
    records = samples[samples["id"].isin(held_out)].sort_values("id", ignore_index=True)
    n_compared = 0 if arguments.settings["scoring"]["readout"] == "sample" else arguments.compare
    compared = draw_compared(records, n_compared, arguments.settings["seed"])
    with open_named_student(arguments, read_jsonl(arguments.anchors)) as student:
        for reader, chosen, path in (
            (student, records, arguments.scores),
            (student.reading("sample"), compared, arguments.compared),
        ):
            part = arguments.part.with_name(f"{path.stem}.jsonl")
            write_parquet(score_shard(reader, chosen, part), path)
            discard_part(part)


if __name__ == "__main__":
    parsed = parse_arguments()
    with logged(parsed.log):
        main(parsed)
