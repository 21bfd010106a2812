import json
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mira.cli import main
from mira.cost.compare import compare, prefill_added
from mira.cost.decoding import decode, weights_of
from mira.cost.estimate import estimate
from mira.cost.lengths import all_lengths, equal_lengths, read_lengths
from mira.cost.plan import Request, make_plan
from mira.cost.prefill import prefill_flop
from mira.cost.shapes import read_shape, shape_of
from mira.cost.traffic import traffic_bytes_per_token
from mira.cost.work import Work
from mira.errors import UserError
from mira.io import write_parquet

MODEL = "qwen3.5-35b-a3b"
TOKENS = 50e9
H200, H100 = ("h200", "bfloat16"), ("h100", "fp8")

# GPU-hours for 50e9 record tokens: prompt, cached, record; then per answer H200 bf16 / H100 FP8.
# Answers: 900 tokens written, one pass over 200, 200 written, 32 written.
BUDGETS = """
0     yes  2048    829/1149  249/249    353/421    246/257
0     yes  8192    531/676   254/254    309/340    257/262
0     yes  32768   529/607   338/338    378/395    342/345
6000  yes  2048   1105/1576  296/296    448/549    297/313
6000  yes  8192    632/815   298/298    365/404    302/308
6000  yes  32768   586/674   381/381    424/443    385/388
6000  no   2048   2093/2666  998/998   1214/1337  1009/1029
6000  no   8192    878/1077  474/474    556/599    480/487
6000  no   32768   641/729   425/425    470/489    429/432
12000 yes  2048   1380/2004  343/343    542/677    348/369
12000 yes  8192    733/954   342/342    420/468    347/354
12000 yes  32768   643/741   424/424    469/491    428/432
12000 no   2048   3479/4266 1872/1872  2198/2371  1898/1925
12000 no   8192   1251/1495  724/724    833/887    734/743
12000 no   32768   760/855   519/519    570/591    525/528
"""
ANSWERS = ((900, False), (200, True), (200, False), (32, False))

# Sequences at once and output tokens/s without a prompt, 900 tokens written, at 2K, 8K and 32K.
WRITING = [
    ("h200", "bfloat16", [(481, 10_100), (230, 5_400), (74, 2_000)]),
    ("h200", "fp8", [(512, 11_400), (367, 7_000), (119, 2_600)]),
    ("h100", "fp8", [(298, 6_600), (142, 3_600), (46, 1_400)]),
]


@pytest.fixture(scope="module")
def shape():
    return read_shape(MODEL)


def serving(gpu="h200", dtype="bfloat16", parallel=1):
    request = Request(records=1, tokens_per_record=1, gpu=gpu, dtype=dtype)
    return replace(make_plan(request).serving, gpus=parallel)


def hours(shape, prompt, cached, length, answer, gpu=H200, parallel=1):
    tokens, one_pass = answer
    lengths = equal_lengths(TOKENS / length, length)
    work = Work(prompt, cached, tokens, one_pass)
    return estimate(shape, lengths, work, serving(*gpu, parallel=parallel)).hours


# --- shapes --------------------------------------------------------------------------------------


def test_the_students_counts(shape):
    parts = shape.parameters()
    assert parts.total / 1e9 == pytest.approx(34.66, abs=0.005)
    billions = [round(n / 1e9, 2) for n in (parts.experts, parts.linear_attention, parts.attention)]
    assert billions == [32.21, 1.01, 0.27]
    assert [round(n / 1e9, 2) for n in (parts.shared, parts.router, parts.head)] == [
        0.13,
        0.02,
        0.51,
    ]
    assert shape.active_parameters() / 1e9 == pytest.approx(2.44, abs=0.005)
    assert shape.cache_bytes_per_token() == 20_480
    assert shape.state_bytes() / 1e6 == pytest.approx(64.4, abs=0.05)
    assert shape.recurrent_bytes() / 1e6 == pytest.approx(62.9, abs=0.05)
    assert shape.attention_flop_per_position() == 163_840
    assert shape.linear_flop_per_token() / 1e9 == pytest.approx(4.875 + 0.157, abs=0.002)
    assert shape.head_flop() / 1e9 == pytest.approx(1.017, abs=0.001)
    assert weights_of(shape, "bfloat16").held / 1e9 == pytest.approx(69.3, abs=0.05)


SMALL = {
    "vocab_size": 300,
    "hidden_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "intermediate_size": 96,
}
LINEAR = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 16,
    "linear_conv_kernel_dim": 4,
}
SPARSE = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
SHARED = {"shared_expert_intermediate_size": 48}
MODELS = [
    ("qwen3_5_moe_text", {}),
    ("qwen3_5_moe_text", {**SMALL, **LINEAR, **SPARSE, **SHARED, "tie_word_embeddings": True}),
    ("qwen3_5_text", {**SMALL, **LINEAR}),
    ("qwen3_next", {**SMALL, **LINEAR, **SPARSE, **SHARED, "mlp_only_layers": [1]}),
    ("qwen3_moe", {**SMALL, **SPARSE, "decoder_sparse_step": 2}),
    ("qwen3", {**SMALL, "attention_bias": True}),
    ("qwen3", {**SMALL, "tie_word_embeddings": True}),
]


@pytest.mark.parametrize(("kind", "sizes"), MODELS)
def test_parameters_are_those_that_transformers_builds(kind, sizes):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(kind, **sizes)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    built = sum(parameter.numel() for parameter in model.parameters())
    assert shape_of(config.to_dict(), kind).parameters().total == built


def test_shipped_numbers_are_transformers_own(shape):
    from transformers import Qwen3_5MoeTextConfig

    assert shape_of(Qwen3_5MoeTextConfig().to_dict(), MODEL) == shape


def test_a_text_model_within_another_and_a_folder(tmp_path, shape):
    from transformers import Qwen3_5MoeTextConfig

    outer = {"model_type": "qwen3_5_moe", "text_config": Qwen3_5MoeTextConfig().to_dict()}
    (tmp_path / "config.json").write_text(json.dumps(outer))
    for path in (tmp_path, tmp_path / "config.json"):
        assert replace(read_shape(str(path)), name=MODEL) == shape


# --- the published tables of the formulas --------------------------------------------------------


@pytest.mark.parametrize("row", BUDGETS.strip().splitlines())
def test_gpu_hours_of_fifty_billion_tokens(shape, row):
    prompt, cached, length, *cells = row.split()
    for answer, cell in zip(ANSWERS, cells, strict=True):
        for gpu, expected in zip((H200, H100), cell.split("/"), strict=True):
            found = hours(shape, float(prompt), cached == "yes", float(length), answer, gpu)
            assert found == pytest.approx(float(expected), rel=0.006)


@pytest.mark.parametrize(("gpu", "dtype", "expected"), WRITING)
def test_sequences_and_output_rate(shape, gpu, dtype, expected):
    for length, (sequences, rate) in zip((2048, 8192, 32768), expected, strict=True):
        found = decode(shape, Work(0, True, 900), serving(gpu, dtype), length)
        assert found.sequences == pytest.approx(sequences, rel=0.01)
        assert found.tokens_per_second == pytest.approx(rate, rel=0.03)


@pytest.mark.parametrize(
    ("length", "giga", "rate"),
    [(2048, 5.20, 154e3), (8192, 5.70, 140e3), (32768, 7.72, 104e3), (61_440, 10.07, 79e3)],
)
def test_work_per_token_and_the_bound_on_its_rate(shape, length, giga, rate):
    flop = prefill_flop(shape, equal_lengths(1, length), Work(0, True, 0)) / length
    assert flop / 1e9 == pytest.approx(giga, rel=0.001)
    assert 800e12 / flop == pytest.approx(rate, rel=0.007)


def test_tensor_parallel_adds_a_quarter_to_four_fifths_to_prefill(shape):
    assert traffic_bytes_per_token(shape, 8) == pytest.approx(573e3, rel=0.001)
    replica = serving(parallel=8)
    low, _ = prefill_added(shape, replace(replica, link=450e9), 7.72e9)
    _, high = prefill_added(shape, replace(replica, link=350e9), 5.20e9)
    assert low == pytest.approx(0.24, abs=0.01)
    assert high == pytest.approx(0.80, abs=0.01)


# --- what must hold for any numbers --------------------------------------------------------------


def test_more_work_never_costs_less(shape):
    lengths = (512, 2048, 8192, 32768)
    for gpu, cached, answer in product((H200, H100), (True, False), ANSWERS):
        # At equal counts of records, so that only the length differs.
        costs = [hours(shape, 6000, cached, n, answer, gpu) * n for n in lengths]
        assert costs == sorted(costs)
        prompts = [hours(shape, n, cached, 2048, answer, gpu) for n in (0, 1000, 6000, 12000)]
        assert prompts == sorted(prompts)
    written = [hours(shape, 6000, True, 2048, (n, False)) for n in (1, 32, 96, 900, 2000)]
    assert written == sorted(written)
    for cached in (True, False):
        assert hours(shape, 6000, True, 2048, (96, False)) <= hours(
            shape, 6000, cached, 2048, (96, False)
        )


def test_tensor_parallel_costs_more_gpu_hours(shape):
    for answer in ANSWERS:
        costs = [hours(shape, 6000, True, 2048, answer, parallel=n) for n in (1, 2, 4, 8)]
        assert costs == sorted(costs)


def test_work_of_mixed_lengths_is_the_sum_over_records(shape):
    lengths = np.array([10.0, 500.0, 30_000.0])
    work = Work(700, False, 96, one_pass=True)
    mixed = replace(
        equal_lengths(3, 1), tokens=lengths.sum(), squares=np.square(lengths).sum(), longest=30_000
    )
    each = sum(prefill_flop(shape, equal_lengths(1, length), work) for length in lengths)
    assert prefill_flop(shape, mixed, work) == pytest.approx(each, rel=1e-12)
    even = prefill_flop(shape, equal_lengths(3, lengths.mean()), work)
    assert prefill_flop(shape, mixed, work) > even


def test_attention_is_what_a_loop_over_positions_counts(shape):
    prompt, length = 30, 20
    seen = sum(range(prompt + length)) - sum(range(prompt))
    linear = shape.linear_flop_per_token() * length
    flop = prefill_flop(shape, equal_lengths(1, length), Work(prompt, True, 0))
    counted = linear + shape.attention_flop_per_position() * (seen + length / 2)
    assert flop == pytest.approx(counted, rel=1e-12)


# --- a corpus ------------------------------------------------------------------------------------


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    for source, lengths in {"a": [100, 300], "b": [40_000, 50, 50]}.items():
        frame = pd.DataFrame({"id": [f"{source}{n}" for n in lengths], "n_tokens": lengths})
        write_parquet(frame, folder / f"{source}.parquet")
    return folder


def test_lengths_of_a_corpus(corpus):
    sources = read_lengths(corpus, 1_000)
    assert [source.source for source in sources] == ["a", "b"]
    lengths = all_lengths(sources)
    assert (lengths.records, lengths.tokens, lengths.longest, lengths.cut) == (5, 1500, 1000, 1)
    assert lengths.weighted == pytest.approx((100**2 + 300**2 + 1000**2 + 2 * 50**2) / 1500)
    assert lengths.scaled(50).weighted == lengths.weighted
    assert lengths.scaled(50).tokens == 15_000


def asked(*words, capsys):
    main(["scoring", "cost", *map(str, words)])
    return capsys.readouterr().out


def test_a_scaled_corpus_costs_in_proportion(corpus, capsys):
    one = json.loads(asked("--corpus", corpus, "--json", capsys=capsys))
    ten = json.loads(asked("--corpus", corpus, "--records", 50, "--json", capsys=capsys))
    assert ten["gpu_hours"] == pytest.approx(10 * one["gpu_hours"])
    said = asked("--corpus", corpus, "--lengths", capsys=capsys)
    assert "sum(L^2)/sum(L)" in said and "32,768" in said


# --- the command ---------------------------------------------------------------------------------

RECORDS = ("--records", 24.4e6, "--tokens-per-record", 2048)


def test_every_figure_is_said_with_its_origin(capsys):
    said = asked(*RECORDS, "--mfu", 0.5, capsys=capsys)
    found = json.loads(asked(*RECORDS, "--mfu", 0.5, "--json", capsys=capsys))
    origins = {figure["name"]: figure["origin"] for figure in found["assumptions"]}
    assert origins["mfu"] == origins["records"] == "given"
    assert set(origins.values()) == {"given", "measured", "published", "derived", "assumed"}
    for name, origin in origins.items():
        assert any(name in line and f"[{origin}]" in line for line in said.splitlines())
    assert found["money"] == pytest.approx(found["gpu_hours"] * 3.5)
    assert found["wall_hours"] == pytest.approx(found["gpu_hours"] / 8)
    assert found["if_cache_is_inert"]["gpu_hours"] > found["gpu_hours"]


def test_comparison(capsys):
    found = json.loads(asked(*RECORDS, "--compare", "--json", capsys=capsys))
    rows = {
        (row["answer"].split(" (")[0], row["prompt"].split(" (")[0]): row for row in found["rows"]
    }
    rationales = rows["rationales", "full, cached"]["single"]["gpu_hours"]
    scores = rows["scores only", "full, cached"]["single"]["gpu_hours"]
    alone = json.loads(asked(*RECORDS, "--readout", "expected", "--json", capsys=capsys))
    assert scores == pytest.approx(alone["gpu_hours"])
    assert rationales > 3 * scores
    low, high = found["prefill_added_by_tensor_parallel"]
    assert 0.24 < low < high < 0.80
    said = asked(*RECORDS, "--compare", capsys=capsys)
    assert "full, uncached (6000)" in said and f"{rationales:,.0f}" in said


def test_what_does_not_fit_is_left_out_of_a_comparison():
    request = Request(records=1e6, tokens_per_record=32_768, gpu="h100")
    comparison = compare(make_plan(request))
    missing = [row.prompt for row in comparison.rows if row.single is None]
    assert missing and all(row.parallel is not None for row in comparison.rows)
    assert any("--tensor-parallel 2" in problem for problem in comparison.problems)


def test_few_sequences_are_said(capsys):
    assert "sequences fit" in asked(*RECORDS, "--gpu", "h100", capsys=capsys)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--gpu", "h300"), "Expected one of h200, h100. Did you mean 'h200'?"),
        (("--gpu", "h100", "--prompt-tokens", 60_000), "Try --tensor-parallel 2 or --dtype fp8"),
        (("--tensor-parallel", 3, "--gpus", 3), "Expected one of 1, 2, 4, 8, 16"),
        (("--tensor-parallel", 8, "--gpus", 12), "a multiple of --tensor-parallel 8"),
        (("--mfu", 1.5), "--mfu should be above 0 and at most 1, found 1.5"),
        (("--prompt-tokens", -1), "--prompt-tokens should be at least 0"),
        (("--gpu-price", 0), "--gpu-price should be above 0"),
        (("--max-sequences", "nan"), "--max-sequences should be above 0"),
        (("--tokens-per-record", 0), "--tokens-per-record should be a number above 0"),
        (("--model", "qwen3.5-35b"), "Did you mean 'qwen3.5-35b-a3b'?"),
        (("--one-pass",), "needs --readout expected"),
        (("--lengths",), "give --corpus"),
        (("--corpus", "nowhere"), "give one of them"),
    ],
)
def test_a_mistake_is_said(words, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["scoring", "cost", *map(str, (*RECORDS, *words))])
    assert stopped.value.code == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "llama"}, "'llama' cannot be priced. Expected one of qwen3"),
        ({"model_type": "qwen3", **SMALL, "hidden_size": "64"}, "'hidden_size' should be a whole"),
        ({"model_type": "qwen3", **SMALL, "layer_types": ["mamba"] * 4}, "mamba"),
        ({"model_type": "qwen3_5", **SMALL}, "'linear_num_key_heads'"),
        ([], "expected a JSON object"),
    ],
)
def test_a_configuration_that_cannot_be_priced(tmp_path, config, message):
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=message):
        read_shape(str(tmp_path))


def test_a_broken_configuration_and_a_broken_corpus(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match="is not a JSON file"):
        read_shape(str(tmp_path))
    with pytest.raises(UserError, match=r"no \*.parquet"):
        read_lengths(tmp_path, 100)
    write_parquet(pd.DataFrame({"id": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match="column n_tokens"):
        read_lengths(tmp_path, 100)
    write_parquet(pd.DataFrame({"n_tokens": [1.0, None]}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match="missing or not above 0"):
        read_lengths(tmp_path, 100)
    write_parquet(pd.DataFrame({"n_tokens": [0][:0]}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match="hold no record"):
        read_lengths(tmp_path, 100)


# --- measuring on a GPU --------------------------------------------------------------------------


def bench(*words):
    script = Path(__file__).parents[2] / "bench" / "gpu.py"
    command = [sys.executable, str(script), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_gpu_bench_runs_at_toy_shapes():
    done = bench("--toy", "--repeats", 1)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["counts"] is False and found["device"] == "cpu"
    assert [row["length"] for row in found["prefill"]] == found["settings"]["lengths"]
    assert [row["written"] for row in found["answers"]["answers"]] == [2, 4, 8]
    assert found["training"]["last_loss"] != found["training"]["first_loss"]
    shares = [row["mfu"] for row in found["prefill"]] + [found["training"]["mfu"]]
    assert all(0 < share < 1 for share in shares)
    assert found["prompt"][0]["formula_ratio"] > 1
    # Routers that were not initialised would send every token to the same few experts: 16 / 4.
    assert 1 <= found["busiest_expert"] < 4
    assert any("more evenly" in note for note in found["notes"])


@pytest.mark.slow
def test_gpu_bench_says_what_is_missing():
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    done = bench()
    assert done.returncode == 1 and "There is no GPU" in done.stderr and "--toy" in done.stderr
