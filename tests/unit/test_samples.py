import string

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mira.errors import UserError
from mira.io import sha256
from mira.sampling.samples import cap_records, draw_samples
from mira.sampling.tokenizer import token_counter, train_tokenizer


def corpus(**sizes):
    rows = [(f"{source}-{i}", source, i) for source, n in sizes.items() for i in range(n)]
    return pd.DataFrame(rows, columns=["id", "source", "n_chars"])


@given(
    n=st.integers(1, 60),
    discovery=st.integers(1, 30),
    labelling=st.integers(1, 30),
    share=st.floats(0, 1),
)
def test_sizes_and_overlap(n, discovery, labelling, share):
    first, second = draw_samples(corpus(s=n), discovery, labelling, share, seed=1)
    assert len(first) == min(n, discovery)
    assert len(second) == min(n, labelling)
    assert first["id"].is_unique
    assert second["id"].is_unique
    overlap = set(first["id"]) & set(second["id"])
    assert len(overlap) == max(0, len(first) + len(second) - n)
    assert (second["split"] == "validation").sum() == round(share * len(second))
    assert set(second["split"]) <= {"train", "validation"}


def test_rows_order_and_other_sources_change_nothing():
    small, large = corpus(a=50), corpus(a=50, b=80).sample(frac=1, random_state=0)
    for one, other in zip(
        draw_samples(small, 10, 20, 0.3, seed=5),
        draw_samples(large, 10, 20, 0.3, seed=5),
        strict=True,
    ):
        pd.testing.assert_frame_equal(one, other[other["source"] == "a"])


def test_the_seed_decides():
    samples = [draw_samples(corpus(a=100), 10, 20, 0.3, seed)[1] for seed in (1, 2)]
    assert set(samples[0]["id"]) != set(samples[1]["id"])


def test_cap():
    capped = cap_records(corpus(a=50, b=3), 10, seed=1)
    assert capped["source"].value_counts().to_dict() == {"a": 10, "b": 3}
    shuffled = cap_records(corpus(a=50, b=3).sample(frac=1, random_state=0), 10, seed=1)
    pd.testing.assert_frame_equal(capped, shuffled)


TEXTS = [
    f"def add{i}(a, b):\n    return a + b * {i * 37}  # 数字 {i} naïve café\n" for i in range(200)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer") / "model"
    train_tokenizer(iter(TEXTS), 400, folder)
    return folder


@pytest.fixture(scope="module")
def tokenizer(folder):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(folder))


def test_each_digit_is_a_token(tokenizer):
    assert tokenizer.tokenize("10") == ["1", "0"]
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    assert all(not (set(token) & set(string.digits)) or len(token) == 1 for token in tokens)
    assert 256 + 3 < len(tokenizer) <= 400


@settings(deadline=None)
@given(text=st.text(max_size=200))
def test_decoding_is_exact(tokenizer, text):
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == text


def test_chat_template_and_special_tokens(tokenizer):
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert prompt == (
        "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nu<|im_end|>\n<|im_start|>assistant\n"
    )
    messages.append({"role": "assistant", "content": "a"})
    full = tokenizer.apply_chat_template(messages, tokenize=False)
    assert full == prompt + "a<|im_end|>\n"
    assert tokenizer.eos_token == tokenizer.pad_token == "<|endoftext|>"
    assert len(tokenizer.tokenize("<|im_start|><|im_end|><|endoftext|>")) == 3


def test_training_is_deterministic(folder, tmp_path):
    train_tokenizer(iter(TEXTS), 400, tmp_path / "again")
    assert sha256(tmp_path / "again") == sha256(folder)


def test_token_counts(folder, tokenizer):
    texts = ["", "10 cafés", *TEXTS[:5]]
    expected = [len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]
    assert token_counter(folder)(texts) == expected
    assert expected[0] == 0


def test_mistakes_are_named(tmp_path):
    with pytest.raises(UserError, match=r"sampling\.tokenizer\.vocab_size is 100"):
        train_tokenizer(iter(TEXTS), 100, tmp_path / "small")
    with pytest.raises(UserError, match=r"sampling\.tokenizer\.path"):
        token_counter(tmp_path)
