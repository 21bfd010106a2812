"""The scorers file against the facts, the choice of scorers, their anchors and folders."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from stand_in_scorer import make_released

from mira.anchoring import check_anchors
from mira.config import Config, parse_config
from mira.distillation.model import load_model
from mira.errors import UserError
from mira.figures.loss_curves import loss_history
from mira.io import read_json, sha256, write_jsonl
from mira.prompts import build_anchored
from mira.scorers.anchors import anchor_rows
from mira.scorers.choice import check_family, scorers_of_run, uncovered_sources
from mira.scorers.folder import NO_STATE, check_folder, trainer_state
from mira.scorers.hub import fetch
from mira.scorers.serving import with_serving_values
from mira.scorers.settings import Scorer, load_scorers
from mira.scorers.take import take_scorer
from mira.tables.anchors import anchors_table
from mira.tables.write import write_table

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "config" / "scorers.yaml"
WITH_ANCHORS = {"Agent-1": 883_423, "QA-2": 75_000, "Text-1": 129_555}


def scorers() -> dict[str, Scorer]:
    return load_scorers(PUBLISHED).scorers


def own(**entry: Any) -> Scorer:
    return Scorer(**{"name": "mine", "family": "text", "path": "models/mine", **entry})


def settings(**distillation: Any) -> dict[str, Any]:
    chosen = {"text-1": "Text-1", "qa-1": "QA-2"}
    return {
        "run": "published",
        "sources": {
            "pages": {"family": "text", "path": "p"},
            "asks": {"family": "qa", "path": "a"},
        },
        "clustering": {"within": "family", "k": 1},
        "teacher": {"kind": "embedded"},
        "distillation": {"students": "published", "scorers": chosen, **distillation},
    }


def config(**distillation: Any) -> Config:
    return parse_config(settings(**distillation))


# The file against /work/shared/paper/facts.md, sections 1.3 and 5.


def test_the_twelve_released_scorers():
    names = [f"Agent-{i}" for i in range(1, 5)] + [f"QA-{i}" for i in range(1, 6)]
    names += [f"Text-{i}" for i in range(1, 4)]
    found = scorers()
    assert list(found) == names
    for name, scorer in found.items():
        family, number = name.split("-")
        assert scorer.family == family.lower()
        assert scorer.hub_id == f"whw06/MIRA-{family}-Group{number}"
        assert scorer.path is None and scorer.revision is None and not scorer.scores_only


def test_anchors_are_those_of_the_three_whole_cards():
    found = scorers()
    assert {name for name, scorer in found.items() if scorer.anchors} == set(WITH_ANCHORS)
    assert {name for name, scorer in found.items() if scorer.grade == "seed"} == set(WITH_ANCHORS)
    for name, total in WITH_ANCHORS.items():
        sizes = [anchor.cluster_size for anchor in found[name].anchors]
        assert sum(sizes) == total and sizes == sorted(sizes, reverse=True)
        assert [anchor.slot for anchor in found[name].anchors] == [f"A{i}" for i in range(1, 16)]


def test_anchors_are_as_the_cards_print_them():
    for name, card in [
        ("Agent-1", "Agent-Group1"),
        ("QA-2", "QA-Group2"),
        ("Text-1", "Text-Group1"),
    ]:
        path = ROOT.parent / "shared" / "paper" / "cards" / f"MIRA-{card}.txt"
        if not path.exists():
            pytest.skip("the cards are not part of the repository")
        printed = path.read_text(encoding="utf-8").splitlines()
        for anchor in scorers()[name].anchors:
            assert f"{anchor.slot} {anchor.name} {anchor.cluster_size:,}" in printed


def test_names_repeat_within_a_scorer_and_slots_do_not():
    distinct = {
        name: len({anchor.name.casefold() for anchor in scorers()[name].anchors})
        for name in WITH_ANCHORS
    }
    assert distinct == {"Agent-1": 12, "QA-2": 12, "Text-1": 15}
    rows = anchor_rows(scorers()["Agent-1"], 15)
    assert len({row["slot"] for row in rows}) == 15
    assert Counter(row["name"] for row in rows)["Goal Achievement"] == 2


def test_counts_of_sources_and_records():
    found = scorers()
    per_family = Counter()
    for scorer in found.values():
        per_family[scorer.family] += scorer.source_count or 0
    assert per_family == {"agent": 14, "qa": 16, "text": 7}
    records = {name: scorer.labelled_records for name, scorer in found.items()}
    assert sum(records[f"Agent-{i}"] for i in range(1, 5)) == 1_100_665
    assert all(records[name] is None for name in records if not name.startswith("Agent"))


def test_what_is_known_by_name_only_claims_nothing():
    for scorer in scorers().values():
        if scorer.grade == "name only":
            open_facts = (scorer.label, scorer.domain, scorer.anchor_file, scorer.source_count)
            assert open_facts == (None,) * 4 and not scorer.sources


# The file's form.


def write_scorers(file: Path, **entry: Any) -> Path:
    text = yaml.safe_dump({"scorers": {"mine": {"family": "text", "path": "models/m", **entry}}})
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"hubid": "a/b"}, r"scorer 'mine', 'hubid': unknown key; did you mean 'hub_id'\?"),
        ({"path": None}, "scorer 'mine': give 'path'"),
        ({"revision": "main"}, "'revision' belongs to 'hub_id'"),
        ({"family": "code"}, "scorer 'mine', 'family': .*'agent', 'qa' or 'text'"),
        ({"source_count": 1, "sources": {"a": None, "b": None}}, "2 sources are listed"),
        ({"anchors": [{"slot": "A2", "name": "n"}]}, "slots A1, A2, ... in order"),
        ({"anchors": [{"slot": "A1", "nam": "n"}]}, "'anchors.0.nam': unknown key; did you mean"),
        ({"anchors": [{"slot": "A1"}]}, "scorer 'mine', 'anchors.0.name': missing"),
    ],
)
def test_mistakes_in_an_entry_are_named(tmp_path: Path, entry: dict[str, Any], message: str):
    with pytest.raises(UserError, match=message) as caught:
        load_scorers(write_scorers(tmp_path / "s.yaml", **entry))
    assert "s.yaml" in str(caught.value)


def test_a_file_that_is_none(tmp_path: Path):
    with pytest.raises(UserError, match=r"not found.*distillation\.scorers_file"):
        load_scorers(tmp_path / "nowhere.yaml")
    (tmp_path / "bad.yaml").write_text("scorers: [")
    with pytest.raises(UserError, match="not valid YAML"):
        load_scorers(tmp_path / "bad.yaml")


def test_the_default_file_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert len(load_scorers("config/scorers.yaml").scorers) == 12
    (tmp_path / "config").mkdir()
    write_scorers(tmp_path / "config" / "scorers.yaml")
    assert list(load_scorers("config/scorers.yaml").scorers) == ["mine"]


# The choice.


def test_every_group_gets_its_scorer():
    chosen = scorers_of_run(config())
    assert {group: scorer.name for group, scorer in chosen.items()} == {
        "text-1": "Text-1",
        "qa-1": "QA-2",
    }
    assert scorers_of_run(config(students="trained")) == {}


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"text-1": "Text-1", "qa-1": "qa2"}, r"no scorer 'qa2'.*did you mean 'QA-2'\?"),
        ({"text-1": "Text-1"}, r"no scorer for qa-1.*groups\.csv"),
        ({"text-1": "Text-1", "qa-9": "QA-2"}, r"no group 'qa-9'.*did you mean 'qa-1'\?"),
        ({"text-1": "QA-2", "qa-1": "QA-2"}, "'QA-2' scores records of family 'qa', but group"),
        ({"text-1": "Text-1", "qa-1": "QA-4"}, "'QA-4': its list of slots is not published"),
    ],
)
def test_a_wrong_choice_is_refused(chosen: dict[str, str], message: str):
    with pytest.raises(UserError, match=message):
        scorers_of_run(config(scorers=chosen))


def test_scorers_need_as_many_slots_as_the_run():
    few = parse_config({**settings(), "anchoring": {"k": 5}})
    with pytest.raises(UserError, match=r"'Text-1' has 15 slots, but anchoring\.k is 5"):
        scorers_of_run(few)


def test_a_readout_that_was_not_learnt_is_refused():
    # Built, not parsed: what else the settings say of this readout is theirs to check.
    expected = config().model_copy(
        update={"scoring": config().scoring.model_copy(update={"readout": "expected"})}
    )
    with pytest.raises(UserError, match=r"scoring\.readout 'expected'.*'Text-1'"):
        scorers_of_run(expected)


def test_a_local_folder_must_be_there(tmp_path: Path):
    anchors = [{"slot": f"A{i}", "name": f"n{i}"} for i in range(1, 16)]
    entry = {"path": str(tmp_path / "gone"), "anchors": anchors}
    file = str(write_scorers(tmp_path / "s.yaml", **entry))
    one = {"sources": {"pages": {"family": "text", "path": "p"}}}
    chosen = settings(scorers={"text-1": "mine"}, scorers_file=file) | one
    with pytest.raises(UserError, match=r"'mine': its folder .*gone .*does not exist"):
        scorers_of_run(parse_config(chosen))


def test_families_and_sources_of_a_group():
    groups = pd.DataFrame(
        {
            "source": ["stackoverflow", "mine", "pages"],
            "family": ["qa", "qa", "text"],
            "group": ["g1", "g1", "g2"],
        }
    )
    qa = scorers()["QA-2"]
    check_family("g1", qa, groups)
    assert uncovered_sources("g1", qa, groups) == ["mine"]
    with pytest.raises(UserError, match=r"the group has pages \(text\)"):
        check_family("g2", qa, groups)


# Serving values.


def test_the_cards_values_fill_what_is_not_set():
    raw = settings() | {"scoring": {"engine": "transformers", "vllm": {"tensor_parallel": 1}}}
    scoring = parse_config(with_serving_values(raw)).scoring
    assert (scoring.engine, scoring.vllm.tensor_parallel) == ("transformers", 1)
    assert (scoring.vllm.max_model_len, scoring.vllm.max_num_batched_tokens) == (65_536, 131_072)
    assert (scoring.temperature, scoring.top_p, scoring.max_new_tokens) == (0.7, 0.95, 2048)
    assert (scoring.readout, scoring.dtype) == ("sample", "bfloat16")
    assert scoring.vllm.gpu_memory_utilization == 0.9
    alone = parse_config(with_serving_values(settings()))
    assert (alone.scoring.engine, alone.scoring.vllm.tensor_parallel) == ("vllm", 8)
    assert alone.distillation.prompt == "full"


def test_a_card_does_not_turn_on_remote_code():
    assert load_scorers(PUBLISHED).serving.trust_remote_code
    assert not parse_config(with_serving_values(settings())).scoring.trust_remote_code


def test_trained_students_keep_their_settings():
    raw = settings(students="trained")
    assert with_serving_values(raw) == raw
    assert with_serving_values({"distillation": "no mapping"}) == {"distillation": "no mapping"}


# Anchors.


def test_rows_have_the_form_of_built_anchors_and_open_what_is_not_published(tmp_path: Path):
    rows = anchor_rows(scorers()["Text-1"], 15)
    assert check_anchors(rows, 15, "rows") == rows
    first = rows[0]
    assert (first["name"], first["cluster_size"]) == ("Chinese Description Quality", 16_842)
    assert first["definition"] == "" and first["references"] == [] and first["names"] == {}
    unknown = ("n_records", "medoid_id", "medoid_source", "medoid_score", "stability")
    assert all(first[key] is None for key in unknown)
    table = anchors_table({"text-1": rows})
    write_table(table, tmp_path / "anchors")
    assert "| text-1 | A1 | Chinese Description Quality | 16,842 | – |" in (
        tmp_path / "anchors.md"
    ).read_text(encoding="utf-8")


def test_the_prompt_asks_in_the_cards_format():
    _, user = build_anchored("words", "text", anchor_rows(scorers()["Text-1"], 15))
    assert "[A1] Chinese Description Quality: <score>/10 — <" in user["content"]
    assert "[A15] Accessibility Compliance: <score>/10 — <" in user["content"]
    for line in ("overall: <0-100>", "training_recommendation: <keep | downsample | drop>"):
        assert line in user["content"]


def test_an_anchors_file_gives_what_the_card_does_not(tmp_path: Path):
    rows = [
        {"dim": f"Name {i}", "size": 10 - i, "references": [{"score": 2, "reason": "thin"}]}
        for i in range(1, 4)
    ]
    write_jsonl(rows, tmp_path / "group_1_dim_anchors.jsonl")
    file = str(tmp_path / "group_1_dim_anchors.jsonl")
    with pytest.raises(UserError, match=r"line 1: no key 'name' among dim, size, .*anchor_fields"):
        anchor_rows(own(anchors_file=file), 3)
    fields = {"name": "dim", "cluster_size": "size"}
    found = anchor_rows(own(anchors_file=file, anchor_fields=fields), 3)
    assert [(row["slot"], row["name"], row["cluster_size"]) for row in found] == [
        ("A1", "Name 1", 9),
        ("A2", "Name 2", 8),
        ("A3", "Name 3", 7),
    ]
    system, _ = build_anchored("words", "text", found)
    assert "2/10 — thin" in system["content"]


def test_rows_of_a_run_can_be_taken_back(tmp_path: Path):
    rows = anchor_rows(scorers()["QA-2"], 15)
    write_jsonl(rows, tmp_path / "qa-1.jsonl")
    assert anchor_rows(own(anchors_file=str(tmp_path / "qa-1.jsonl")), 15) == rows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"name": "a"', "line 1: not valid JSON"),
        ('{"slot": "A2", "name": "a"}', "expected the slots A1 to A1 in order, found A2"),
        ('{"name": "a", "references": [{"score": 11, "reason": "x"}]}', "references.0.score"),
        ("", "its list of slots is not published"),
    ],
)
def test_a_wrong_anchors_file_is_refused(tmp_path: Path, text: str, message: str):
    (tmp_path / "a.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        anchor_rows(own(anchors_file=str(tmp_path / "a.jsonl")), 1)


# Folders.


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_released(tmp_path_factory.mktemp("scorer"))


@pytest.fixture
def released(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "released"))


def shards(folder: Path) -> list[Path]:
    found = sorted(folder.glob("model-*.safetensors"))
    assert len(found) > 1, "the stand-in must be in shards"
    return found


def test_a_whole_folder_is_taken_without_a_copy(released: Path, tmp_path: Path):
    model, state = tmp_path / "out" / "model", tmp_path / "out" / "trainer_state.json"
    take_scorer(own(path=str(released)), model, state)
    assert not (model / ".cache").exists()
    weights = shards(released)[0]
    assert (model / weights.name).samefile(weights)
    before = sha256(model)
    found = read_json(state)
    loaded = load_model(str(model), "float32")
    assert found["scorer"]["parameters"] == loaded.num_parameters()
    assert found["scorer"]["path"] == str(released)
    assert list(loss_history({"text-1": found})["loss"]) == [1.5, 1.0]
    shutil.rmtree(released)
    assert sha256(model) == before, "the run must outlive the folder it was taken from"


def test_a_folder_without_a_state_says_so(released: Path):
    (released / "trainer_state.json").unlink()
    assert trainer_state(released) == {"log_history": [], "global_step": 0, "note": NO_STATE}


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def drop_a_tensor(folder: Path) -> None:
    shard = shards(folder)[0]
    tensors = load_file(shard)
    tensors.pop(next(iter(tensors)))
    save_file(tensors, shard)


def shrink(folder: Path) -> None:
    """Weights of the layout, of a hundredth of the size: the oddity of the released ones."""
    for path in [*shards(folder), folder / "model.safetensors.index.json"]:
        path.unlink()
    save_file({"model.embed_tokens.weight": torch.zeros(8, 8)}, folder / "model.safetensors")


def to_pointer(folder: Path) -> None:
    shards(folder)[0].write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")


def shrink_vocabulary(folder: Path) -> None:
    path = folder / "config.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"vocab_size": 100}))


def unknown_model(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "no_such", "auto_map": {}}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "no config.json"),
        (lambda folder: cut(folder / "tokenizer.json"), "tokenizer.json: not valid JSON"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "its tokenizer cannot write"),
        (lambda folder: shards(folder)[0].unlink(), "1 of .* weight files are missing"),
        (lambda folder: cut(shards(folder)[0]), "not a whole safetensors file.*fetch it again"),
        (to_pointer, "Git LFS pointer: run git lfs pull"),
        (drop_a_tensor, r"1 tensor\(s\) that model.safetensors.index.json places there"),
        (shrink, r"the weights hold 64 parameters, but config.json describes a model of [\d,]+"),
        (shrink_vocabulary, "the tokenizer belongs to another model"),
        (unknown_model, r"scoring\.trust_remote_code: true"),
    ],
)
def test_a_damaged_folder_is_refused(released: Path, tmp_path: Path, damage: Any, message: str):
    damage(released)
    with pytest.raises(UserError, match=message):
        take_scorer(own(path=str(released)), tmp_path / "model", tmp_path / "state.json")
    assert not (tmp_path / "model").exists() and not (tmp_path / "state.json").exists()


def test_shards_without_their_index_are_no_weights(released: Path):
    (released / "model.safetensors.index.json").unlink()
    with pytest.raises(UserError, match=r"no weights: expected model\.safetensors"):
        check_folder(released)


def test_quantised_weights_are_not_counted_against_the_model(released: Path):
    shrink(released)
    path = released / "config.json"
    quantised = {"quantization_config": {"quant_method": "awq", "bits": 4}}
    path.write_text(json.dumps(json.loads(path.read_text()) | quantised))
    found = check_folder(released)
    assert (found.counted, found.implied) == (64, None)


@pytest.mark.parametrize("text", ['{"log_history": 1}', '{"log_history": [{"loss": 1}]}', "[]"])
def test_a_state_of_another_form_is_refused(released: Path, text: str):
    (released / "trainer_state.json").write_text(text)
    with pytest.raises(UserError, match="'log_history', a list of entries with 'step'"):
        trainer_state(released)


def test_no_network_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"nobody/nothing at revision 'v1' could not be fetched"):
        fetch("nobody/nothing", "v1", "mine")
