import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mira.teacher.limits import Bucket, Limits, read_reset
from mira.teacher.settings import TeacherSettings


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def limits(**changes):
    clock = Clock()
    settings = TeacherSettings(base_urls=("http://h/v1",), model="m", **changes)
    return Limits(settings, "http://h/v1", clock), clock


def ask_for(limits, clock, seconds, tokens=0, used=None):
    """How many calls are sent in so many seconds when the next always waits its turn."""
    sent, end = 0, clock.now + seconds
    while clock.now + limits.wait_s(tokens) < end:
        clock.now += limits.wait_s(tokens)
        set_aside = limits.take(tokens)
        if used is not None:
            limits.settle(tokens, set_aside, used)
        sent += 1
    return sent


@given(
    per_minute=st.floats(1, 100_000),
    steps=st.lists(st.tuples(st.floats(0, 5), st.floats(0.1, 3_000), st.floats(0, 1)), max_size=60),
)
def test_a_bucket_never_lets_through_more_than_its_rate_and_one_burst(per_minute, steps):
    """In no window; what is given back of an amount counts as not let through."""
    now, bucket = 0.0, Bucket(per_minute, 0.0)
    passed = []
    for pause, amount, given_back in steps:
        now += pause
        if bucket.wait_s(amount, now) == 0:
            bucket.take(amount, now)
            bucket.take(-amount * given_back, now)
            passed.append((now, amount * (1 - given_back)))
    burst = max(1.0, per_minute / 60, *(amount for _, amount, _ in steps), 0)
    for i, (start, _) in enumerate(passed):
        total = 0.0
        for end, amount in passed[i:]:
            total += amount
            assert total <= per_minute / 60 * (end - start) + burst * (1 + 1e-6)


@given(st.floats(1, 100_000), st.lists(st.floats(0.1, 3_000), min_size=1, max_size=20))
def test_whoever_waits_as_told_is_let_through(per_minute, amounts):
    now, bucket = 0.0, Bucket(per_minute, 0.0)
    for amount in amounts:
        now += bucket.wait_s(amount, now)
        assert bucket.wait_s(amount, now) == 0
        bucket.take(amount, now)


def test_a_debt_is_paid_before_the_next_is_let_through():
    bucket = Bucket(600, 0.0)
    bucket.take(40, 0.0)
    assert bucket.wait_s(1, 0.0) == pytest.approx(3.1)
    assert bucket.wait_s(1, 3.2) == 0
    bucket.take(-1_000, 3.2)
    assert bucket.wait_s(11, 3.2) == 0, "what is given back never fills beyond a burst"
    bucket.take(10, 3.2)
    assert bucket.wait_s(1, 3.2) == pytest.approx(0.1)


def test_without_limits_nobody_waits():
    free, _ = limits()
    for _ in range(10_000):
        assert free.wait_s(10**9) == 0
        free.take(10**9)


@pytest.mark.parametrize(
    ("configured", "told", "calls"),
    [(60, None, 60), (None, 30, 30), (60, 30, 30), (30, 60, 30), (600, None, 609)],
)
def test_requests_keep_to_the_lower_of_what_is_configured_and_told(configured, told, calls):
    paced, clock = limits(requests_per_minute=configured)
    if told is not None:
        paced.heed({"x-ratelimit-limit-requests": str(told)})
    assert ask_for(paced, clock, 60) == calls


def test_a_limit_that_is_raised_again_counts_up_to_the_configured_one():
    paced, clock = limits(requests_per_minute=60)
    for told, calls in (("30", 30), ("45", 45), ("600", 60)):
        paced.heed({"x-ratelimit-limit-requests": told})
        clock.now += 600
        assert ask_for(paced, clock, 60) == calls


@pytest.mark.parametrize("told", ["0", "-1", "soon", "nan", "inf", ""])
def test_limits_that_make_no_sense_are_ignored(told):
    free, _ = limits()
    free.heed({"x-ratelimit-limit-requests": told, "x-ratelimit-limit-tokens": told})
    assert all((free.take(10**6), free.wait_s(10**6)) == (0, 0) for _ in range(100))


def test_tokens_are_corrected_to_what_was_used():
    paced, clock = limits(tokens_per_minute=60_000)
    assert ask_for(paced, clock, 600, tokens=2_000) == pytest.approx(300, abs=1)
    paced, clock = limits(tokens_per_minute=60_000)
    used = ask_for(paced, clock, 600, tokens=2_000, used=500) * 500
    assert used == pytest.approx(600_000, rel=0.01), "the whole rate is used"
    paced, clock = limits(tokens_per_minute=60_000)
    used = ask_for(paced, clock, 600, tokens=500, used=2_000) * 2_000
    assert used == pytest.approx(600_000, rel=0.01), "and no more than that"


def test_what_is_set_aside_follows_what_calls_use():
    paced, _ = limits(tokens_per_minute=10**9)
    assert paced.take(1_000) == 1_000
    for _ in range(100):
        paced.settle(1_000, 0.0, 250)
    assert paced.take(1_000) == pytest.approx(250, rel=0.01)
    assert paced.take(4_000) == pytest.approx(1_000, rel=0.01)


def test_what_a_call_did_not_use_is_given_back():
    paced, clock = limits(requests_per_minute=60, tokens_per_minute=60)
    paced.give_back(paced.take(1), request=True)
    assert paced.wait_s(1) == 0
    paced.give_back(paced.take(1), request=False)
    assert paced.wait_s(0) == pytest.approx(1), "the request was sent"
    clock.now += 1
    assert paced.wait_s(1) == 0


@pytest.mark.parametrize("unit", ["requests", "tokens"])
def test_when_nothing_remains_nothing_is_sent_until_the_reset(unit):
    paced, clock = limits()
    left = {f"x-ratelimit-remaining-{unit}": "1", f"x-ratelimit-reset-{unit}": "6m0s"}
    paced.heed(left)
    assert paced.wait_s(1) == 0
    paced.heed({**left, f"x-ratelimit-remaining-{unit}": "0"})
    assert paced.wait_s(1) == 360
    clock.now += 359
    paced.pause(0.5)
    assert paced.wait_s(1) == 1, "a shorter pause does not end a longer one"
    clock.now += 1
    assert paced.wait_s(1) == 0
    paced.heed({f"x-ratelimit-remaining-{unit}": "0"})
    assert paced.wait_s(1) == 0, "no reset is told"


def test_long_pauses_are_logged_once(caplog):
    caplog.set_level("INFO")
    paced, _ = limits()
    for seconds in (0.5, 40, 40, 20):
        paced.pause(seconds)
    assert [record.message for record in caplog.records] == ["http://h/v1 asks for a pause of 40 s"]


def test_a_429_halves_the_calls_in_flight_once_and_replies_bring_them_back():
    paced, clock = limits(concurrency=64)
    assert paced.in_flight == 64
    for _ in range(10):
        paced.slow_down(None)
    assert paced.in_flight == 32, "the other nine were sent before the halving"
    assert paced.wait_s(1) == 0
    clock.now += 1
    paced.slow_down(30)
    assert paced.in_flight == 16 and paced.wait_s(1) == 30
    clock.now += 29
    paced.slow_down(None)
    assert paced.in_flight == 16, "within what the endpoint asked to wait"
    for _ in range(16):
        paced.speed_up()
    assert paced.in_flight == pytest.approx(17, abs=0.05)
    for _ in range(10_000):
        paced.speed_up()
    assert paced.in_flight == 64
    for _ in range(10):
        clock.now += 100
        paced.slow_down(None)
    assert paced.in_flight == 1


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1s", 1),
        ("6m0s", 360),
        ("20ms", 0.02),
        ("1.5", 1.5),
        ("0", 0),
        ("1h2m3.5s", 3723.5),
        ("2m59.56s", 179.56),
        ("1d2h", 93600),
        ("350µs", 0.00035),
        (" 1s ", 1),
        (None, None),
        ("", None),
        ("soon", None),
        ("-3", None),
        ("1s and more", None),
        ("1.2.3s", None),
        ("1760000000", None),
        ("2026-01-27T12:00:00Z", None),
        ("nan", None),
    ],
)
def test_resets_in_all_their_forms(value, seconds):
    found = read_reset(value)
    assert found == seconds or math.isclose(found, seconds)
