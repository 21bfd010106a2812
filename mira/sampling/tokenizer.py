"""The tokenizer that decides ``n_tokens``: trained on the corpus, or one the user names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mira.errors import UserError
from mira.io import atomic_path

TokenCounter = Callable[[list[str]], list[int]]

END_OF_TEXT = "<|endoftext|>"
TURN_START = "<|im_start|>"
TURN_END = "<|im_end|>"
SPECIAL_TOKENS = (END_OF_TEXT, TURN_START, TURN_END)
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
_BYTES = 256


def train_tokenizer(texts: Iterator[str], vocab_size: int, out_dir: str | Path) -> None:
    """Train a byte-level BPE on ``texts`` and save it in Hugging Face form, atomically.

    Each digit is a token of its own, as in Qwen's tokenizers, so "10" is two tokens. Decoding
    gives back the text exactly. The chat template is ChatML. The same texts give the same files.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    if vocab_size < _BYTES + len(SPECIAL_TOKENS):
        raise UserError(
            f"sampling.tokenizer.vocab_size is {vocab_size}; a byte-level vocabulary needs at "
            f"least {_BYTES + len(SPECIAL_TOKENS)}. Raise it."
        )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        additional_special_tokens=[TURN_START, TURN_END],
        clean_up_tokenization_spaces=False,
    )
    wrapped.chat_template = CHAT_TEMPLATE
    with atomic_path(out_dir) as folder:
        wrapped.save_pretrained(folder)


def token_counter(tokenizer: str | Path) -> TokenCounter:
    """A function from texts to their numbers of tokens, without special tokens.

    ``tokenizer`` is a folder with a ``tokenizer.json`` or a Hugging Face id. Raises UserError
    where it cannot be loaded.
    """
    fast = _load(tokenizer)
    fast.no_truncation()
    fast.no_padding()

    def count(texts: list[str]) -> list[int]:
        encodings = fast.encode_batch_fast(texts, add_special_tokens=False)
        return [len(encoding.ids) for encoding in encodings]

    return count


def _load(tokenizer: str | Path) -> Any:
    file = Path(tokenizer) / "tokenizer.json"
    if file.is_file():
        from tokenizers import Tokenizer

        return Tokenizer.from_file(str(file))
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(str(tokenizer), use_fast=True).backend_tokenizer
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(
            f"Tokenizer '{tokenizer}' cannot be loaded (sampling.tokenizer.path): {error}. "
            f"Expected a folder with tokenizer.json or a Hugging Face id. Correct the path, or "
            f"set it to null to train a tokenizer on the corpus."
        ) from error
