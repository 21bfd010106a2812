import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mira.statistics import auroc, bonett_wright, pooled_auroc, spearman, wilson

SCORES = st.lists(st.integers(0, 6).map(float), min_size=1, max_size=12)


def brute_auroc(positive, negative):
    wins = [1.0 if p > n else 0.5 if p == n else 0.0 for p in positive for n in negative]
    return sum(wins) / len(wins)


def test_bonett_wright_matches_the_published_table():
    # scoring.md 2.2: rho 0.5
    for n, low, high in [(30, 0.15, 0.74), (50, 0.24, 0.69), (100, 0.33, 0.64), (1000, 0.45, 0.55)]:
        assert bonett_wright(0.5, n) == pytest.approx((low, high), abs=0.0051)


def test_spearman_matches_scipy_with_ties():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 5, 80).astype(float)
    y = x + rng.integers(-2, 3, 80)
    result = spearman(x, y)
    assert result.value == pytest.approx(stats.spearmanr(x, y).statistic)
    assert result.low < result.value < result.high


def test_spearman_of_a_constant_or_of_two_values_is_unknown_not_zero():
    x = np.arange(10.0)
    assert math.isnan(spearman(x, np.full(10, 7.0)).value)
    assert math.isnan(spearman(x[:2], x[:2]).value)
    assert math.isnan(spearman(x[:0], x[:0]).value)
    assert math.isnan(bonett_wright(0.5, 3)[0])


def test_perfect_agreement_has_a_value_but_no_interval():
    result = spearman(np.arange(10.0), np.arange(10.0))
    assert result.value == 1.0
    assert math.isnan(result.low) and math.isnan(result.high)


def test_wilson_matches_scipy_and_handles_edges():
    ours = wilson(7, 20)
    theirs = stats.binomtest(7, 20).proportion_ci(method="wilson")
    assert ours == pytest.approx((0.35, theirs.low, theirs.high))
    assert wilson(10, 10).high == 1.0
    assert 0.6 < wilson(10, 10).low < 1.0
    assert math.isnan(wilson(0, 0).value)


@given(SCORES, SCORES)
def test_auroc_equals_counting_pairs_and_lies_in_its_interval(positive, negative):
    result = auroc(np.array(positive), np.array(negative))
    assert result.value == pytest.approx(brute_auroc(positive, negative))
    assert 0 <= result.low <= result.value + 1e-12
    assert result.value <= result.high + 1e-12 <= 1 + 1e-9


def test_delong_interval_agrees_with_the_bootstrap():
    rng = np.random.default_rng(1)
    positive, negative = rng.normal(0.8, 1, 150), rng.normal(0, 1, 90)
    result = auroc(positive, negative)
    draws = [auroc(rng.choice(positive, 150), rng.choice(negative, 90)).value for _ in range(1000)]
    assert (result.low, result.high) == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=0.015)


def test_perfect_separation_keeps_a_width():
    result = auroc(np.arange(10.0, 30.0), np.arange(-20.0, 0.0))
    assert result.value == result.high == 1.0
    assert 0.85 < result.low < 0.95
    reverse = auroc(np.arange(-20.0, 0.0), np.arange(10.0, 30.0))
    assert (reverse.low, reverse.high) == pytest.approx((0.0, 1 - result.low))


def test_auroc_without_one_side_is_unknown():
    assert math.isnan(auroc(np.array([1.0]), np.array([])).value)


def test_pooling_within_strata_ignores_differences_between_them():
    rng = np.random.default_rng(2)
    # The label says nothing within a stratum, but strata differ in level and in share.
    strata = [
        (rng.normal(5, 1, 300), rng.normal(5, 1, 30)),
        (rng.normal(0, 1, 30), rng.normal(0, 1, 300)),
    ]
    pooled = auroc(np.concatenate([p for p, _ in strata]), np.concatenate([n for _, n in strata]))
    within = pooled_auroc(strata)
    assert pooled.value > 0.9
    assert within.low < 0.5 < within.high
    pairs = [brute_auroc(p, n) * len(p) * len(n) for p, n in strata]
    assert within.value == pytest.approx(sum(pairs) / sum(len(p) * len(n) for p, n in strata))


def test_strata_without_pairs_are_left_out():
    full = (np.array([1.0, 2.0, 3.0]), np.array([0.0, 2.0]))
    assert pooled_auroc([full, (np.array([9.0]), np.array([]))]) == auroc(*full)
