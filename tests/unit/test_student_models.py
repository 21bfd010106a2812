"""Loading students: what is damaged or does not fit is told, never run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tiny_models import make_tokenizer, save_dense, save_hybrid
from transformers import BertConfig, BertForMaskedLM, Qwen3Config, Qwen3ForSequenceClassification

from mira.distillation.checkpoints import discard, keep_only, last_checkpoint, mark_whole
from mira.distillation.model import load_student
from mira.distillation.parallel import load_deepspeed
from mira.distillation.prompt import encode_messages, render_messages, split_windows
from mira.distillation.training import TrainingSettings, train
from mira.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_dense(tmp_path / "student")
    return tmp_path / "student"


def edit_config(folder: Path, **values: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_whole_folder_loads(folder: Path):
    model, tokenizer = load_student(str(folder), "bfloat16")
    assert model.dtype == torch.bfloat16 and tokenizer.pad_token_id == 99


def test_a_qwen_moe_checkpoint_loads_as_a_causal_language_model(tmp_path: Path):
    save_hybrid(tmp_path)
    assert "qwen3_5_moe_text" in (tmp_path / "config.json").read_text()
    model, _ = load_student(str(tmp_path), "float32")
    assert type(model).__name__ == "Qwen3_5MoeForCausalLM"


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_truncated_weights_are_told(folder: Path, share: float):
    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UserError, match=r"could be loaded.*whole safetensors"):
        load_student(str(folder), "float32")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file_is_told(folder: Path, name: str):
    (folder / name).unlink()
    with pytest.raises(UserError, match="could be loaded"):
        load_student(str(folder), "float32")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"model_type": "nothing"}', "{}"])
def test_a_garbled_config_is_told(folder: Path, content: str):
    (folder / "config.json").write_text(content)
    with pytest.raises(UserError, match="could be loaded"):
        load_student(str(folder), "float32")


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_a_garbled_tokenizer_is_told(folder: Path, content: str):
    (folder / "tokenizer.json").write_text(content)
    with pytest.raises(UserError, match=r"tokenizer|Tokenizer"):
        load_student(str(folder), "float32")


@pytest.mark.parametrize("values", [{"num_hidden_layers": 3}, {"intermediate_size": 48}])
def test_weights_that_would_be_drawn_at_random_are_told(folder: Path, values: dict):
    edit_config(folder, **values)
    with pytest.raises(UserError, match=r"lacks \d+ of its weights|could be loaded"):
        load_student(str(folder), "float32")


def test_a_tokenizer_with_ids_beyond_the_model_is_told(folder: Path):
    make_tokenizer(120).save_pretrained(folder)
    with pytest.raises(UserError, match=r"ids go up to 119 and the model has 100 rows"):
        load_student(str(folder), "float32")


def test_a_tokenizer_without_the_models_end_is_told(folder: Path):
    make_tokenizer(60).save_pretrained(folder)
    with pytest.raises(UserError, match="ends its text with token 99"):
        load_student(str(folder), "float32")


@pytest.mark.parametrize("kind", ["classifier", "encoder"])
def test_another_kind_of_model_is_told(tmp_path: Path, kind: str):
    sizes = {"vocab_size": 100, "hidden_size": 32, "intermediate_size": 32}
    heads = {"num_hidden_layers": 1, "num_attention_heads": 2}
    if kind == "encoder":
        BertForMaskedLM(BertConfig(**sizes, **heads)).save_pretrained(tmp_path)
    else:
        config = Qwen3Config(**sizes, **heads, num_key_value_heads=1, head_dim=16)
        Qwen3ForSequenceClassification(config).save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(UserError, match="no causal language model"):
        load_student(str(tmp_path), "float32")


@pytest.mark.parametrize(
    "content, told",
    [
        (None, "no file"),
        ("{", "not JSON"),
        ("[]", "no zero_optimization.stage"),
        ('{"zero_optimization": {"stage": 4}}', "no zero_optimization.stage"),
        ('{"zero_optimization": {"stage": 3}}', "stage3_gather"),
    ],
)
def test_an_unusable_deepspeed_file_is_told(tmp_path: Path, content: str | None, told: str):
    path = tmp_path / "own.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=told):
        load_deepspeed(str(path))


def test_shipped_deepspeed_files_are_usable():
    for name, stage in (("zero2", 2), ("zero3", 3)):
        found = load_deepspeed(name)
        assert found is not None and found["zero_optimization"]["stage"] == stage


def example(tokens: list[int]) -> dict:
    return {"input_ids": tokens, "labels": tokens, "length": len(tokens)}


def settings(**values: object) -> TrainingSettings:
    defaults = {"batch_size": 1, "warmup_share": 0.0, "weight_decay": 0.0, "save_steps": 50}
    fixed = {"precision": "float32", "seed": 0, "max_steps": 4, "learning_rate": 1e-3}
    return TrainingSettings(**{**defaults, **fixed, **values})


def train_dense(folder: Path, out: Path, **values: object) -> dict:
    model, tokenizer = load_student(str(folder), "float32")
    weights = values.pop("weights", None)
    if weights is not None:
        model.lm_head.weight.data.fill_(weights)
    examples = [example([1, 2, 3, 4, 5]), example([6, 7, 8, 9])]
    places = {"model_dir": out / "model", "state_path": out / "state.json"}
    return train(
        model, tokenizer, examples, settings(**values), **places, resume_dir=out / "resume"
    )


def test_a_loss_that_is_no_number_stops_training_and_writes_no_model(folder: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"the loss of step 1 is not a finite.*learning_rate"):
        train_dense(folder, tmp_path, weights=float("nan"))
    assert not (tmp_path / "model").exists() and not (tmp_path / "state.json").exists()


def test_weights_that_are_no_numbers_after_the_last_step_are_not_written(
    folder: Path, tmp_path: Path
):
    with pytest.raises(UserError, match=r"after the last step is not a finite"):
        train_dense(folder, tmp_path, learning_rate=float("inf"), max_steps=1)
    assert not (tmp_path / "model").exists()


def test_packing_a_model_that_carries_state_takes_one_row_a_batch(tmp_path: Path):
    save_hybrid(tmp_path / "student")
    with pytest.raises(UserError, match="batch_size to 1 and gradient_accumulation to 4"):
        model, tokenizer = load_student(str(tmp_path / "student"), "float32")
        train(
            model,
            tokenizer,
            [example([1, 2, 3])],
            settings(batch_size=4, packed_tokens=16),
            model_dir=tmp_path / "model",
            state_path=tmp_path / "state.json",
            resume_dir=tmp_path / "resume",
        )


@pytest.mark.parametrize("moment", ["before the move", "after the move", "while clearing"])
def test_a_kill_at_the_end_leaves_what_a_rerun_finishes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
):
    """The last steps are file moves; a fault between any two of them loses nothing."""
    quiet = train_dense(folder, tmp_path / "quiet")
    place = "mira.distillation.training."
    fault = {"before the move": "remove_tree", "after the move": "write_json"}

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        if moment == "while clearing":
            patched.setattr("mira.distillation.checkpoints.remove_tree", _half_removed(fail))
        else:
            patched.setattr(place + fault[moment], _only_final(fail, moment))
        with pytest.raises(KeyboardInterrupt):
            train_dense(folder, tmp_path / "killed")
    again = train_dense(folder, tmp_path / "killed")
    found = [(tmp_path / n / "model/model.safetensors").read_bytes() for n in ("quiet", "killed")]
    assert found[0] == found[1]
    assert _losses(again) == _losses(quiet)
    assert not (tmp_path / "killed/resume").exists()


def _only_final(fail, moment: str):
    from mira.io import remove_tree

    def replaced(*arguments: object) -> None:
        if moment == "before the move" and Path(str(arguments[0])).parent.name != "killed":
            remove_tree(Path(str(arguments[0])))
            return
        fail()

    return replaced


def _half_removed(fail):
    def replaced(path: Path) -> None:
        if path.name.endswith(".discarded") and path.exists():
            next(path.rglob("*.safetensors")).unlink()
            fail()

    return replaced


def _losses(state: dict) -> list[tuple[int, float]]:
    return [(e["step"], e["loss"]) for e in state["log_history"] if "loss" in e]


def test_only_whole_checkpoints_are_taken_up(tmp_path: Path):
    for step in (5, 10, 15, 20):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "weights").write_text("x" * 100)
    for step in (5, 10, 15):
        mark_whole(tmp_path / f"checkpoint-{step}")
    (tmp_path / "checkpoint-15/weights").write_text("x")
    found = last_checkpoint(tmp_path)
    assert found == tmp_path / "checkpoint-10"
    keep_only(found, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint-10"]
    discard(tmp_path / "checkpoint-10")
    assert last_checkpoint(tmp_path) is None and not list(tmp_path.iterdir())


def test_windows_are_the_whole_text_within_the_limit():
    tokenizer = make_tokenizer()
    tokenizer.backend_tokenizer.pre_tokenizer = _whitespace()
    text = " ".join(str(i % 90) for i in range(205)) + " <|endoftext|>"
    windows = split_windows(text, tokenizer, 50, 100)
    assert "".join(windows).replace("< |", "<|") == text
    counts = [len(tokenizer.encode(w, add_special_tokens=False)) for w in windows]
    assert max(counts) <= 50 and min(counts) > 25
    assert split_windows("1 2", tokenizer, 50, 100) == ["1 2"]
    few = split_windows(text, tokenizer, 20, 3)
    all_ = split_windows(text, tokenizer, 20, 100)
    assert len(few) == 3 and (few[0], few[-1]) == (all_[0], all_[-1])


def _whitespace():
    from tokenizers.pre_tokenizers import Whitespace

    return Whitespace()


def test_the_rubric_prompt_is_the_full_one_without_references():
    reference = {"score": 7.0, "reason": "calibrated reason"}
    anchors = [{"slot": "A1", "name": "n", "definition": "defined", "references": [reference]}]
    tokenizer = make_tokenizer()

    def rendered(style: str) -> str:
        messages = render_messages(
            "1 2",
            "text",
            anchors,
            tokenizer,
            style=style,
            rationales=True,
            max_record_tokens=50,
        )
        assert encode_messages(messages, tokenizer)
        return "\n".join(message["content"] for message in messages)

    assert "calibrated reason" in rendered("full")
    assert "calibrated reason" not in rendered("rubric")
    assert "defined" in rendered("rubric") and "defined" not in rendered("compact")
