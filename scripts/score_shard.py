"""Score one shard of a group's records; run by rule score_shard, or by hand.

Takes its arguments from the command line, because engines live in environments of their own.
"""

import argparse
from pathlib import Path

from mira.groups import records_of_group
from mira.io import read_jsonl, write_json, write_parquet
from mira.logs import logged
from mira.scoring.arguments import add_student_arguments, open_named_student
from mira.scoring.shards import assign_shards, discard_part, score_shard

COLUMNS = ["id", "family", "text", "n_tokens"]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_student_arguments(parser)
    parser.add_argument("--groups", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, nargs="+", required=True)
    parser.add_argument("--shard", type=int, required=True)
    parser.add_argument("--scores", type=Path, required=True)
    parser.add_argument("--counters", type=Path, required=True)
    return parser.parse_args()


def main(arguments: argparse.Namespace) -> None:
    records = records_of_group(arguments.group, arguments.groups, arguments.corpus, COLUMNS)
    n_shards = arguments.settings["scoring"]["shards"]
    chosen = records[assign_shards(records, n_shards) == arguments.shard]
    with open_named_student(arguments, read_jsonl(arguments.anchors)) as student:
        write_parquet(score_shard(student, chosen, arguments.part), arguments.scores)
        write_json(student.engine.counters(), arguments.counters)
    discard_part(arguments.part)


if __name__ == "__main__":
    parsed = parse_arguments()
    with logged(parsed.log):
        main(parsed)
