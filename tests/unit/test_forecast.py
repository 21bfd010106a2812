import math

import numpy as np
import pandas as pd
import pytest

from mira.anchoring import SCORE_BANDS
from mira.asking import ask_freely, ask_on_anchors
from mira.config import Batch, Cap, Prices, parse_config
from mira.errors import UserError
from mira.forecast.bounds import bounded_row
from mira.forecast.cap import say_cap
from mira.forecast.cells import MIN_OWN_CALLS, arrange, assign_cells
from mira.forecast.compare import actual_totals, compare, compare_run
from mira.forecast.counting import PromptSizer, count_bytes, measure_source
from mira.forecast.estimate import interval, predict
from mira.forecast.pilot import Call, allocate, draw_pilot
from mira.forecast.provisional import longer_half, provisional_anchors
from mira.forecast.render import render_forecast
from mira.forecast.terms import Terms
from mira.io import write_json, write_parquet
from mira.report.bill import forecast_lines
from mira.report.gather import gather
from mira.report.render import render
from mira.sampling.tokenizer import token_counter, train_tokenizer
from mira.teacher.pricing import Usage, cost
from mira.teacher.settings import TeacherSettings

PRICES = Prices(input=0.5, cached_input=0.1, output=3.0, thinking=4.0)


# --- the pilot's records -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("questions", "calls", "expected"),
    [
        ({"a": 100, "b": 100, "c": 100}, 60, {"a": 20, "b": 20, "c": 20}),
        ({"a": 1000, "b": 10, "c": 1}, 40, {"a": 38, "b": 1, "c": 1}),
        ({"a": 2, "b": 3}, 60, {"a": 2, "b": 3}),
        ({"a": 5, "b": 9, "c": 7}, 2, {"a": 0, "b": 1, "c": 1}),
        ({"a": 5, "b": 9}, 0, {"a": 0, "b": 0}),
    ],
)
def test_calls_are_given_in_proportion_and_one_at_least(questions, calls, expected):
    assert allocate(questions, calls) == expected


def sample_records(sources=("a", "b"), n=90):
    rows = [(f"{source}{i:03}", source, "text", 100 + i) for source in sources for i in range(n)]
    return pd.DataFrame(rows, columns=["id", "source", "family", "chars"])


def test_pilot_is_spread_over_lengths():
    drawn = draw_pilot(sample_records(), 18, seed=1, stage="labelling")
    assert drawn["source"].value_counts().to_dict() == {"a": 9, "b": 9}
    thirds = (drawn["chars"] - 100) // 30
    assert thirds.groupby(drawn["source"]).value_counts().eq(3).all()


def test_pilot_does_not_depend_on_order_or_on_other_sources_and_grows_by_adding():
    records = sample_records()
    shuffled = records.sample(frac=1, random_state=3)
    drawn = set(draw_pilot(records, 18, seed=1, stage="labelling")["id"])
    assert set(draw_pilot(shuffled, 18, seed=1, stage="labelling")["id"]) == drawn
    assert drawn < set(draw_pilot(records, 30, seed=1, stage="labelling")["id"])
    more = draw_pilot(sample_records(("a", "b", "c")), 27, seed=1, stage="labelling")
    assert set(more.loc[more["source"] != "c", "id"]) == drawn
    assert set(draw_pilot(records, 18, seed=2, stage="labelling")["id"]) != drawn
    assert set(draw_pilot(records, 18, seed=1, stage="discovery")["id"]) != drawn


def test_a_pilot_may_be_everything_or_nothing():
    records = sample_records(n=4)
    assert len(draw_pilot(records, 60, seed=1, stage="discovery")) == 8
    assert len(draw_pilot(records, 0, seed=1, stage="discovery")) == 0


# --- sizes ---------------------------------------------------------------------------------------


def prompt(system, user):
    return [{"role": "system", "content": system}, {"role": "user", "content": user}]


def test_sizes_are_of_all_contents_and_a_shared_beginning_is_counted_once():
    counted = []

    def count(texts):
        counted.extend(texts)
        return count_bytes(texts)

    sizer = PromptSizer(count, in_tokens=False)
    assert sizer.sizes([prompt("系统", "a"), prompt("系统", "bcd"), prompt("x", "")]) == [7, 9, 1]
    assert counted.count("系统") == 1
    assert sizer.size(prompt("系统", "abcd")) == 10 and counted.count("系统") == 1


def test_records_are_measured_as_they_will_be_asked(tmp_path):
    texts = ["short", "x" * 5_000, "中文" * 700]
    frame = pd.DataFrame({"id": list("pqr"), "source": "s", "family": "qa", "text": texts})
    write_parquet(pd.concat([frame] * 400, ignore_index=True), tmp_path / "s.parquet")
    asking = ask_freely(15, max_chars=1_000)
    measured = measure_source(tmp_path / "s.parquet", asking.build, PromptSizer.of(None))
    assert len(measured) == 1_200 and measured["chars"].tolist()[:3] == [5, 5_000, 1_400]
    for text, size in zip(texts, measured["size"], strict=False):
        messages = asking.build(text, "qa")
        assert size == sum(len(message["content"].encode()) for message in messages)


def test_tokens_are_those_of_the_named_tokenizer(tmp_path):
    train_tokenizer(iter(["some words to learn from, and 中文"] * 50), 300, tmp_path / "tok")
    sizer = PromptSizer.of(str(tmp_path / "tok"))
    count = token_counter(tmp_path / "tok")
    assert sizer.in_tokens
    assert sizer.size(prompt("some words", "learn 中")) == sum(count(["some words", "learn 中"]))


@pytest.mark.parametrize("content", [None, "not a tokenizer"])
def test_a_tokenizer_that_cannot_be_loaded_is_named(tmp_path, content):
    if content:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(UserError, match=r"(?s)teacher\.tokenizer .* set it to null"):
        PromptSizer.of(str(tmp_path))


# --- rates ---------------------------------------------------------------------------------------


def calls_of(source, n, completion=200, size=1_000, **changes):
    usage = Usage(size + 7, 0, completion, 0)
    return [Call(**{"source": source, "size": size, "usage": usage, "seconds": 2.0, **changes})] * n


def cells_with(text_calls):
    """Six sources of one family, five of them with two calls, and three of another family."""
    names = [f"s{i}" for i in range(9)]
    families = np.array(["qa"] * 6 + ["text"] * 3)
    calls = [call for name in names[:5] for call in calls_of(name, 2, completion=100)]
    calls += calls_of("s5", MIN_OWN_CALLS, completion=500)
    calls += [call for name in names[6 : 6 + text_calls] for call in calls_of(name, 1, 900)]
    return assign_cells(arrange(calls, names, in_tokens=True), families, np.full(9, 50))


def replies_of(cells):
    return [pytest.approx(float(cell.rate[2])) for cell in cells]


def test_sources_with_few_calls_share_a_pool():
    cells = cells_with(text_calls=3)
    assert [cell.pooled for cell in cells] == [True] * 5 + [False] + [True] * 3
    assert replies_of(cells) == [100] * 5 + [500] + [900] * 3
    assert cells[0] is cells[4] and cells[6] is cells[8] and cells[0] is not cells[6]


def test_a_pool_that_is_too_small_joins_the_others():
    cells = cells_with(text_calls=2)
    # Each call stands for its share of its source's questions.
    both = (250 * 100 + 100 * 900) / 350
    assert replies_of(cells) == [both] * 5 + [500] + [both] * 3
    assert cells[0] is cells[8] and not cells[0].borrowed


def test_sources_without_calls_borrow_the_rates_of_all():
    sample = arrange(calls_of("s0", 8, completion=300), ["s0", "s1"], in_tokens=True)
    own, borrowed = assign_cells(sample, np.array(["qa", "text"]), np.array([50, 50]))
    assert not own.pooled and borrowed.borrowed and replies_of([own, borrowed]) == [300, 300]


def test_prompts_are_counted_if_the_tokenizer_agrees_and_scaled_if_not():
    def sample(extra, in_tokens=True):
        sizes = (500, 1_000, 2_000)
        calls = [
            Call("s", size, Usage(size + extra(size), 0, 9, 0), None, cold=False) for size in sizes
        ]
        return arrange(calls, ["s"], in_tokens=in_tokens)

    assert sample(lambda size: 11).prompts == "counted"
    assert sample(lambda size: size // 10).prompts == "scaled"
    assert sample(lambda size: 11, in_tokens=False).prompts == "estimated"


# --- predictions ---------------------------------------------------------------------------------


def table_of(rows):
    """Rows of family, n, size, asked, asked_size; the pilot's questions are the stage's own."""
    columns = ["family", "n", "size", "done", "done_size"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    return table.assign(asked=table["done"], asked_again=0, rejected=0, less=0, more=0)


def ends(prediction, name):
    return tuple(interval(prediction.total[name]))


def test_a_pilot_of_everything_is_the_truth():
    rng = np.random.default_rng(0)
    sizes, replies = rng.integers(100, 900, 20), rng.integers(50, 400, 20)
    calls = [
        Call("s", int(size), Usage(int(size) // 4, 10, int(reply), 5), 1.5, cold=False)
        for size, reply in zip(sizes, replies, strict=True)
    ]
    table = table_of({"s": ("qa", 20, int(sizes.sum()), 20, int(sizes.sum()))})
    prediction = predict(table, calls, np.random.default_rng(1), in_tokens=False, draws=200)
    assert ends(prediction, "completion_tokens") == (replies.sum(),) * 3
    assert ends(prediction, "prompt_tokens") == ((sizes // 4).sum(),) * 3
    assert ends(prediction, "cached_tokens") == (200.0,) * 3
    assert ends(prediction, "seconds") == (30.0,) * 3
    assert ends(prediction, "calls") == (20,) * 3


def test_counted_prompts_are_exact_but_for_calls_that_ask_again():
    table = table_of({"s": ("qa", 1_000, 700_000, 10, 9_000)})
    calls = calls_of("s", 10, size=900)
    prediction = predict(table, calls, np.random.default_rng(1), in_tokens=True)
    low, mid, high = ends(prediction, "prompt_tokens")
    assert low == mid == 700_000 + 7 * 1_000
    assert high == pytest.approx(mid * interval(prediction.total["calls"])[2] / 1_000, rel=0.01)


def test_nothing_asked_again_in_the_pilot_is_no_promise():
    table = table_of({"s": ("qa", 10_000, 9_000_000, 60, 54_000)})
    prediction = predict(table, calls_of("s", 60, 900), np.random.default_rng(1), in_tokens=True)
    low, mid, high = ends(prediction, "calls")
    assert (low, mid) == (10_000, 10_000)
    # 95 % of Jeffreys' posterior for none of 60 is below 3.2 %.
    assert 10_200 < high < 10_450
    again = predict(
        table.assign(asked_again=6),
        calls_of("s", 66, 900),
        np.random.default_rng(1),
        in_tokens=True,
    )
    low, mid, high = ends(again, "calls")
    assert mid == 66 + 9_940 * 1.1 and low < 10_700 and high > 11_500


def test_the_first_call_with_a_prefix_does_not_lower_the_share_cached():
    usage = Usage(1_000, 800, 50, 0)
    calls = [Call("s", 990, Usage(1_000, 0, 50, 0), None, cold=True)]
    calls += [Call("s", 990, usage, None, cold=False)] * 9
    table = table_of({"s": ("qa", 110, 110 * 990, 10, 9_900)})
    prediction = predict(table, calls, np.random.default_rng(1), in_tokens=True)
    assert ends(prediction, "cached_tokens")[1] == 109 * 800
    assert not prediction.timed


def test_provisional_calls_are_not_the_stages_own():
    table = table_of({"s": ("qa", 100, 100_000, 20, 20_000)})
    table = table.assign(done=0, done_size=0, less=30_000, more=10_000)
    prediction = predict(table, calls_of("s", 20), np.random.default_rng(1), in_tokens=True)
    low, mid, high = ends(prediction, "prompt_tokens")
    assert mid == 100_700 and 70_700 < low < 80_000 and high > 108_000
    assert ends(prediction, "completion_tokens")[1] == 20_000


def simulate(seed, draws=400):
    """A corpus with skewed replies and sources unlike each other; its pilot and its true totals."""
    rng = np.random.default_rng(seed)
    rows, calls, truth = {}, [], np.zeros(3)
    for number in range(12):
        source, family = f"s{number:02}", ("agent", "qa", "text")[number % 3]
        n = int(rng.integers(100, 1_000))
        chars = np.exp(rng.normal(7.5, 1.0, n)).astype(int)
        sizes = chars + 4_000
        per_byte = 0.25 * np.exp(rng.normal(0, 0.15) + rng.normal(0, 0.1, n))
        prompts = (sizes * per_byte).round()
        replies = (600 * np.exp(rng.normal(0, 0.3) + rng.normal(0, 0.6, n))).round()
        again = rng.random(n) < 0.02
        ids = [f"{source}-{i}" for i in range(n)]
        rows[source] = (family, ids, chars, sizes, prompts, replies, again)
        per_question = np.where(again, 2, 1)
        truth += [
            (prompts * per_question).sum(), (replies * per_question).sum(), per_question.sum()
        ]  # fmt: skip
    records = pd.concat(
        pd.DataFrame({"id": ids, "source": source, "chars": chars})
        for source, (_, ids, chars, *_) in rows.items()
    )
    drawn = draw_pilot(records, 60, seed=seed, stage="labelling")
    table = {}
    for source, (family, ids, _, sizes, prompts, replies, again) in rows.items():
        asked = np.flatnonzero(np.isin(ids, drawn.loc[drawn["source"] == source, "id"]))
        table[source] = (family, len(ids), sizes.sum(), len(asked), sizes[asked].sum())
        for i in asked:
            usage = Usage(int(prompts[i]), 0, int(replies[i]), 0)
            calls += [Call(source, int(sizes[i]), usage, None)] * (2 if again[i] else 1)
        rows[source] = int(again[asked].sum())
    table = table_of(table).assign(asked_again=pd.Series(rows))
    return predict(table, calls, rng, in_tokens=False, draws=draws), truth


@pytest.mark.slow
def test_intervals_hold_what_they_promise_on_skewed_replies():
    inside, widths = [], []
    for seed in range(220):
        prediction, (prompts, replies, n_calls) = simulate(seed)
        money = prediction.total["prompt_tokens"] + 4 * prediction.total["completion_tokens"]
        of_truth = (
            (prediction.total["prompt_tokens"], prompts),
            (prediction.total["completion_tokens"], replies),
            (prediction.total["calls"], n_calls),
            (money, prompts + 4 * replies),
        )
        found = [(*interval(values), true) for values, true in of_truth]
        inside.append([low <= true <= high for low, _, high, true in found])
        widths.append([(high - low) / true for low, _, high, true in found])
    coverage, width = np.mean(inside, axis=0), np.mean(widths, axis=0)
    print("coverage", coverage, "relative width", width)
    assert (coverage >= 0.90).all(), coverage
    # Not by being wide: +-10 % of the prompts, +-30 % of the replies.
    assert (width < [0.2, 0.6, 0.1, 0.4]).all(), width


def test_a_total_is_narrower_than_its_sources_ends_added_up():
    prediction, _ = simulate(1)
    low, mid, high = interval(prediction.total["completion_tokens"])
    rows = np.array([interval(row["completion_tokens"]) for row in prediction.rows])
    assert mid == pytest.approx(rows[:, 1].sum())
    assert high - low < 0.6 * (rows[:, 2] - rows[:, 0]).sum()


def test_the_same_seed_gives_the_same_forecast():
    one, other = simulate(4)[0], simulate(4)[0]
    assert all((one.total[name] == other.total[name]).all() for name in one.total)


# --- terms ---------------------------------------------------------------------------------------


def terms(**changes):
    settings = {"base_urls": ("u", "v"), "model": "m", "prices": PRICES, "concurrency": 8}
    return Terms.of(TeacherSettings(**{**settings, **changes}))


def test_money_is_that_of_the_bill_and_less_in_batches():
    totals = {
        name: np.array([value])
        for name, value in Usage(10_000, 4_000, 3_000, 1_000).as_dict().items()
    }
    expected = cost(Usage(10_000, 4_000, 3_000, 1_000), PRICES)
    assert terms().money(totals)[0] == pytest.approx(expected)
    batch = terms(mode="batch", batch=Batch(price_share=0.5))
    assert batch.money(totals)[0] == pytest.approx(expected / 2)


def test_time_is_the_slowest_of_calls_and_limits():
    work, calls, tokens = np.array([600.0]), np.array([1_000]), np.array([4_000_000])

    def seconds(**changes):
        return terms(**changes).seconds(work, calls, tokens)

    assert seconds()[0] == 600
    assert seconds(requests_per_minute=10)[0] == 1_000 / 20 * 60
    assert seconds(tokens_per_minute=100_000)[0] == 4_000_000 / 200_000 * 60
    assert seconds(mode="batch") is None
    assert terms().seconds(None, calls, tokens) is None
    assert terms(requests_per_minute=10).seconds(None, calls, tokens)[0] == 3_000


def test_without_a_pilot_there_are_bounds_alone():
    row = bounded_row(100, 50_000, terms(max_tokens=1_000), in_tokens=True)
    assert row["prompt_tokens"] == {"low": 50_000, "mid": 50_000, "high": 50_000}
    assert row["completion_tokens"] == {"low": 0, "mid": None, "high": 100_000}
    assert row["money"]["high"] == pytest.approx((50_000 * 0.5 + 100_000 * 4.0) / 1e6)
    assert row["money"]["low"] == pytest.approx(50_000 * 0.1 / 1e6)
    in_bytes = bounded_row(100, 50_000, terms(), in_tokens=False)
    assert in_bytes["prompt_tokens"] == {"low": 0, "mid": None, "high": 50_000}


# --- provisional anchors -------------------------------------------------------------------------


def points(n=40):
    return [
        {"dimension": f"Name {i}", "score": float(i % 11), "reason": f"Reason {i}{'x' * (i % 7)}."}
        for i in range(n)
    ]


def test_provisional_anchors_have_the_form_of_real_ones():
    anchors = provisional_anchors(points(), k=15, n_references=12)
    assert [anchor["slot"] for anchor in anchors] == [f"A{i}" for i in range(1, 16)]
    assert len({anchor["name"] for anchor in anchors}) == 15
    assert [len(anchor["references"]) for anchor in anchors] == [3] * 12 + [0] * 3
    for anchor in anchors[:12]:
        for (low, high), reference in zip(SCORE_BANDS, anchor["references"], strict=True):
            assert low <= reference["score"] < high
    system = ask_on_anchors(anchors, 1_000).build("text", "qa")[0]["content"]
    assert all(anchor["definition"] in system for anchor in anchors)


def test_provisional_anchors_of_few_points_and_one_band():
    few = [{"dimension": "Only", "score": 9.0, "reason": "Because."}]
    anchors = provisional_anchors(few, k=4, n_references=2)
    assert [len(anchor["references"]) for anchor in anchors] == [1, 1, 0, 0]
    with pytest.raises(ValueError, match="no judgment points"):
        provisional_anchors([], k=4, n_references=2)
    assert len(longer_half(points())) >= 20
    assert min(len(p["reason"]) for p in longer_half(points())) >= len("Reason 3xxx.")


# --- against the bill ----------------------------------------------------------------------------


def bill(records=10, calls=11, prompt_tokens=900, completion_tokens=100, money=0.5):
    tokens = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
    return {"records": records, "calls": calls, "tokens": tokens, "money": money}


def stage_of(n=20, **high):
    ends = {"calls": (20, 20, 25), "tokens": (1_500, 1_900, 2_100), "money": (0.8, 0.9, 1.0)}
    total = {
        name: dict(zip(("low", "mid", "high"), values, strict=True))
        for name, values in ends.items()
    }
    for name, value in high.items():
        total[name]["high"] = value
    return {"n": n, "total": {"n": n, **total}}


def test_actual_and_forecast_side_by_side():
    actual = actual_totals([bill(), bill()])
    assert actual == {"records": 20, "calls": 22, "tokens": 2_000, "money": 1.0}
    compared = compare(stage_of(), actual)
    assert [compared[name]["inside"] for name in ("calls", "tokens", "money")] == [True] * 3
    assert compared["tokens"] == {
        "low": 1_500, "mid": 1_900, "high": 2_100, "actual": 2_000, "inside": True
    }  # fmt: skip
    assert compare(stage_of(tokens=1_999), actual)["tokens"]["inside"] is False
    assert compare(stage_of(money=math.nextafter(1.0, 0)), actual)["money"]["inside"] is True
    fewer = compare(stage_of(n=40), actual)
    assert fewer["money"]["inside"] is None
    assert fewer["records"] == {"forecast": 40, "actual": 20}


def test_lines_of_the_report():
    bills = {stage: {"g1": bill(), "g2": bill()} for stage in ("discovery", "labelling")}
    before = {"stages": {"discovery": stage_of(), "labelling": stage_of(tokens=1_999)}}
    compared = compare_run(before, {"stages": {"labelling": stage_of()}}, bills)
    lines = forecast_lines(compared)
    assert [line["stage"] for line in lines[::3]] == [
        "Discovery",
        "Labelling",
        "Labelling before anchors",
    ]
    assert lines[1] == {
        "stage": "Discovery",
        "quantity": "Tokens",
        "forecast": "1,900",
        "interval": "1,500 – 2,100",
        "actual": "2,000",
        "verdict": "inside",
    }
    assert lines[7]["verdict"] == "outside"


def test_the_report_shows_forecast_and_actual(synthetic_run, synthetic_settings):
    bills = {stage: {"g1": bill(), "g2": bill()} for stage in ("discovery", "labelling")}
    before = {"stages": {"discovery": stage_of()}}
    compared = compare_run(before, {"stages": {"labelling": stage_of(calls=21)}}, bills)
    write_json({**bills, "forecast": compared}, synthetic_run / "labelling" / "cost.json")
    page = render(gather(synthetic_run, synthetic_settings))
    table = page.split("What was forecast, and what the teacher took")[1].split("</table>")[0]
    assert table.count("<tr>") == 7 and table.count("inside") == 5 and table.count("outside") == 1
    bill_rows = page.split("as journalled")[1].split("</table>")[0]
    assert "Discovery, g1, calls" in bill_rows and "orecast" not in bill_rows


# --- text ----------------------------------------------------------------------------------------


def config_with(**teacher):
    sources = {"a": {"family": "qa", "harvest": "worked_math"}}
    clustering = {"k": 1}
    teacher = {"kind": "embedded", **teacher}
    return parse_config(
        {"run": "r", "sources": sources, "clustering": clustering, "teacher": teacher}
    )


def row_of(n, low, mid, high, pooled=False):
    ends = {"low": low, "mid": mid, "high": high}
    names = "calls rejected prompt_tokens cached_tokens completion_tokens thinking_tokens tokens"
    row = dict.fromkeys((*names.split(), "money"), ends)
    return {"n": n, "pooled": pooled, **row, "seconds": None}


def forecast_of(**stages):
    pilot = {"questions": 6, "calls": 7, "paid_calls": 5}
    entries = {
        name: {
            "n": row["n"],
            "pilot": pilot,
            "total": row,
            "sources": {"a": {**row, "pooled": True}},
        }
        for name, row in stages.items()
    }
    return {"stages": entries, "assumed": ["a note."], "level": 0.95, "currency": "coins"}


def test_table_for_the_terminal():
    text = render_forecast(
        forecast_of(discovery=row_of(10, 90, 100, 130), labelling=row_of(20, 0, None, 5_000))
    )
    assert "discovery: 10 records; pilot of 6 questions, 7 calls (5 paid" in text
    assert "100 [90, 130]" in text and "100.00 [90.00, 130.00]" in text
    assert "at most 5,000" in text and "a *" in text and "- a note." in text


def test_cap_and_forecast(tmp_path):
    forecast = forecast_of(discovery=row_of(10, 90, 100, 130), labelling=row_of(50, 400, 500, 700))
    fits = say_cap(config_with(cap=Cap(tokens=830)), tmp_path, forecast)
    assert fits == "teacher.cap.tokens 830: the upper end of the forecast, 830, fits under it."
    short = say_cap(config_with(cap=Cap(tokens=400)), tmp_path, forecast)
    assert "does not fit" in short and "about 30 of 50 records of labelling" in short
    assert say_cap(config_with(), tmp_path, forecast) == "teacher.cap sets no limit."


def test_cap_counts_what_discovery_took(tmp_path):
    config = config_with(cap=Cap(tokens=1_500))
    forecast = forecast_of(labelling=row_of(50, 400, 500, 700))
    assert "fits under it" in say_cap(config, tmp_path, forecast)
    for group in config.group_names():
        write_json(bill(), tmp_path / "discovery" / "cost" / f"{group}.json")
    assert "50 of 50 records" in say_cap(config, tmp_path, forecast)


def test_without_discovery_only_labelling_is_compared():
    compared = compare_run(None, {"stages": {"labelling": stage_of()}}, {"labelling": {}})
    assert set(compared) == {"labelling"}
