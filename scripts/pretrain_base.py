"""Adapter of rule pretrain_base: a small language model of the corpus."""

from pathlib import Path

from mira.config import Architecture
from mira.io import read_parquets
from mira.logs import logged
from mira.seeds import derive_rng, derive_seed


def main() -> None:
    import torch

    from mira.distillation.examples import build_blocks
    from mira.distillation.model import load_tokenizer, small_model
    from mira.distillation.prompt import add_student_tokens
    from mira.distillation.training import TrainingSettings, train

    settings, seed = snakemake.params.settings, snakemake.params.seed
    pretraining = settings["pretraining"]
    torch.set_num_threads(settings["threads"])
    tokenizer = load_tokenizer(snakemake.input.tokenizer)
    add_student_tokens(tokenizer, snakemake.params.slots)
    texts = read_parquets(snakemake.input.corpus, ["text"])["text"].to_numpy()
    order = derive_rng(seed, "pretraining").permutation(len(texts))
    needed = pretraining["steps"] * pretraining["batch_size"]
    blocks = build_blocks(texts[order], tokenizer, pretraining["block_tokens"], needed)
    train(
        small_model(Architecture(**settings["architecture"]), tokenizer, derive_seed(seed, "base")),
        tokenizer,
        blocks,
        TrainingSettings(
            learning_rate=pretraining["learning_rate"],
            batch_size=pretraining["batch_size"],
            warmup_share=0.05,
            weight_decay=0.0,
            precision=settings["precision"],
            save_steps=settings["save_steps"],
            seed=derive_seed(seed, "pretraining"),
            max_steps=pretraining["steps"],
        ),
        model_dir=Path(snakemake.output.model),
        state_path=Path(snakemake.output.state),
        resume_dir=Path(snakemake.params.resume),
    )


with logged(snakemake.log[0]):
    main()
