import copy
import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from mira import config_docs
from mira.config import load_config, parse_config
from mira.errors import UserError

ROOT = Path(__file__).parents[2]
CONFIGS = ["config/demo.yaml", "config/own-data.yaml"]
MINIMAL = {
    "run": "mine",
    "sources": {
        "notes": {"family": "text", "path": "notes.jsonl"},
        "traces": {"family": "agent", "path": "traces.jsonl"},
        "answers": {"family": "qa", "path": "answers.jsonl"},
    },
    "clustering": {"k": 1},
    "teacher": {"kind": "embedded"},
}


def settings(**changes):
    """The minimal settings with dotted keys (``__`` for dots) set to other values."""
    raw = copy.deepcopy(MINIMAL)
    for dotted, value in changes.items():
        *parents, last = dotted.split("__")
        section = raw
        for parent in parents:
            section = section.setdefault(parent, {})
        section[last] = value
    return raw


def complaint(raw):
    with pytest.raises(UserError) as caught:
        parse_config(raw, "mine.yaml")
    return str(caught.value)


def test_generated_files_are_in_step():
    stale = [str(path.relative_to(ROOT)) for path in config_docs.stale_files(ROOT / "config")]
    assert not stale, f"{', '.join(stale)} out of step with mira/config.py; run: " + (
        f"{config_docs.COMMAND}"
    )


def test_check_names_the_file_that_is_out_of_step(tmp_path, capsys):
    config_docs.main(["--folder", str(tmp_path)])
    config_docs.main(["--folder", str(tmp_path), "--check"])
    (tmp_path / "schema.json").write_text("{}")
    with pytest.raises(SystemExit) as ended:
        config_docs.main(["--folder", str(tmp_path), "--check"])
    message = capsys.readouterr().err
    assert ended.value.code == 1
    assert "schema.json" in message and "README.md" not in message
    assert config_docs.COMMAND in message
    assert (tmp_path / "schema.json").read_text() == "{}"


def test_schema_admits_no_other_keys():
    schema = config_docs.build_schema()
    for name, part in [("Config", schema), *schema["$defs"].items()]:
        if "properties" in part:
            assert part["additionalProperties"] is False, name
    assert schema["properties"]["sources"]["additionalProperties"] is False


def test_reference_has_every_key_once():
    lines = config_docs.build_reference().splitlines()
    keys = [line.split("`")[1] for line in lines if line.startswith("| `")]
    assert len(keys) == len(set(keys))
    expected = {"run", "seed", "sources.<name>.fields.id", "sampling.tokenizer.path"}
    assert expected | {"teacher.prices.input", "selection.trim"} <= set(keys)


@pytest.mark.parametrize("name", CONFIGS)
def test_shipped_configs_satisfy_models_and_schema(name):
    load_config(ROOT / name)
    jsonschema.validate(
        yaml.safe_load((ROOT / name).read_text()),
        json.loads((ROOT / "config/schema.json").read_text()),
    )


@pytest.mark.parametrize(
    "raw",
    [
        settings(sampling__max_char=9),
        settings(sources__Notes={"family": "text", "path": "x.jsonl"}),
        settings(clustering__k={"audio": 1}),
        settings(selection__trim=0.5),
        settings(seed="twelve"),
    ],
)
def test_schema_and_models_refuse_the_same(raw):
    complaint(raw)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(raw, config_docs.build_schema())


@pytest.mark.parametrize(
    ("raw", "key", "nearest"),
    [
        (settings(sampling__max_char=9), "sampling.max_char", "max_chars"),
        (settings(sampling__tokenizer__pth="x"), "sampling.tokenizer.pth", "path"),
        (settings(sources__notes__familly="qa"), "sources.notes.familly", "family"),
        (settings(sources__notes__fields__txt="body"), "sources.notes.fields.txt", "text"),
        (settings(samplng={}), "samplng", "sampling"),
    ],
)
def test_unknown_keys_name_the_nearest(raw, key, nearest):
    message = complaint(raw)
    assert f"unknown key '{key}'" in message
    assert f"did you mean '{nearest}'?" in message
    assert "mine.yaml" in message


def test_an_unknown_key_like_no_other_lists_what_is_known():
    assert "known keys: budget_share, budget_tokens, methods, trim" in complaint(
        settings(selection__xyzzy=1)
    )


@pytest.mark.parametrize(
    ("raw", "key", "found"),
    [
        (settings(selection__trim="much"), "selection.trim", "much"),
        (settings(sampling__validation_share=1.5), "sampling.validation_share", "1.5"),
        (settings(teacher__prices__input=-1), "teacher.prices.input", "-1"),
        (settings(sources__notes__family="poem"), "sources.notes.family", "poem"),
        (settings(scoring__shards=0), "scoring.shards", "0"),
    ],
)
def test_wrong_values_name_their_key(raw, key, found):
    message = complaint(raw)
    assert f"'{key}'" in message
    assert found in message


def test_every_problem_is_listed():
    raw = settings(selection__trim="much", sampling__max_char=9)
    del raw["teacher"]
    message = complaint(raw)
    assert "3 problem(s)" in message
    assert "missing key 'teacher'" in message


def test_more_groups_than_sources_names_the_numbers():
    assert "4 groups, but there are only 3" in complaint(settings(clustering__k=4))
    message = complaint(settings(clustering={"within": "family", "k": {"agent": 2, "qa": 1}}))
    assert "clustering.k has no entry for family text" in message
    per_family = {"agent": 2, "qa": 1, "text": 1}
    message = complaint(settings(clustering={"within": "family", "k": per_family}))
    assert "2 groups of family 'agent'" in message
    assert "only 1" in message


@pytest.mark.parametrize(
    "budget",
    [
        {"budget_share": 0.5, "budget_tokens": 100},
        {"budget_tokens": 100},
        {"budget_share": None, "budget_tokens": None},
    ],
)
def test_exactly_one_budget(budget):
    message = complaint(settings(selection=budget))
    assert "budget_share" in message and "budget_tokens" in message


def test_a_source_has_one_origin():
    assert "exactly one of 'harvest' and 'path'" in complaint(
        settings(sources__notes__harvest="stdlib_modules")
    )


def test_an_endpoint_needs_a_url():
    assert "base_urls" in complaint(settings(teacher={"kind": "endpoint", "model": "m"}))


@pytest.mark.parametrize(
    ("clustering", "names"),
    [
        ({"k": 3}, ["g1", "g2", "g3"]),
        ({"within": "family", "k": 1}, ["agent-1", "qa-1", "text-1"]),
    ],
)
def test_group_names_are_known_before_clustering(clustering, names):
    assert parse_config(settings(clustering=clustering)).group_names() == names


def test_own_data_template_has_the_groups_its_comments_promise():
    config = load_config(ROOT / "config/own-data.yaml")
    assert config.group_names() == ["agent-1", "qa-1", "text-1"]


def test_stand_ins_are_named_and_a_real_run_has_none():
    assert "teacher" in parse_config(settings()).stand_in()
    endpoint = {"kind": "endpoint", "base_urls": ["http://localhost:1/v1"], "model": "m"}
    real = settings(teacher=endpoint, distillation__base_model="some/model")
    assert parse_config(real).stand_in() is None


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match="not found"):
        load_config(tmp_path / "absent.yaml")
    (tmp_path / "broken.yaml").write_text("run: [")
    with pytest.raises(UserError, match="not valid YAML"):
        load_config(tmp_path / "broken.yaml")
    (tmp_path / "list.yaml").write_text("- run")
    with pytest.raises(UserError, match="expected a mapping"):
        load_config(tmp_path / "list.yaml")
