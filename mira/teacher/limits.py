"""How fast one endpoint may be asked: requests and tokens per minute, pauses, calls in flight.

All of it is ours. Nothing here waits: ``Limits.wait_s`` says how long the caller has to.
"""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Callable, Mapping

from multidict import istr

from mira.teacher.settings import TeacherSettings

_BURST_S = 1.0
_HALVING_S = 1.0
_NEWS = 0.1
_LOGGED_PAUSE_S = 10.0
_LONGEST_PLAIN_S = 1e6
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d)")
_DURATION = re.compile(f"(?:{_PART.pattern})+")
_SECONDS = {
    **{"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3},
    **{"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0},
}

logger = logging.getLogger(__name__)


class Bucket:
    """A token bucket: fills at ``per_minute``, holds one second's worth, at least one unit.

    An amount above its size needs a full bucket and leaves it in debt. So in any t seconds no more
    than ``per_minute * t / 60`` plus its size, or plus the largest amount if that is more, is let
    through. ``now`` is in seconds and never goes back.
    """

    def __init__(self, per_minute: float, now: float):
        self._per_s = 0.0
        self._level = self._size = math.inf
        self._filled_at = now
        self.set_rate(per_minute, now)

    def set_rate(self, per_minute: float, now: float) -> None:
        """Fill at another rate from now on."""
        self._fill(now)
        self.per_minute = per_minute
        self._per_s = per_minute / 60
        self._size = max(1.0, self._per_s * _BURST_S)
        self._level = min(self._level, self._size)

    def wait_s(self, amount: float, now: float) -> float:
        """Seconds until the amount may be taken; 0 when it may be now."""
        self._fill(now)
        missing = min(amount, self._size) - self._level
        return missing / self._per_s if missing > 1e-9 * self._size else 0.0

    def take(self, amount: float, now: float) -> None:
        """Take the amount, into debt if need be; a negative one is given back, up to the size."""
        self._fill(now)
        self._level -= amount

    def _fill(self, now: float) -> None:
        self._level = min(self._size, self._level + (now - self._filled_at) * self._per_s)
        self._filled_at = now


class Limits:
    """What one endpoint allows, as configured and as its answers tell.

    Rates are the configured ones, lowered or, where none is configured, set by the headers
    ``x-ratelimit-limit-requests`` and ``-tokens`` (read as per minute). ``in_flight`` is the number
    of calls that may be in flight there: additive increase, multiplicative decrease, between 1 and
    ``settings.concurrency``. ``name`` is the endpoint's in the log.
    """

    def __init__(
        self,
        settings: TeacherSettings,
        name: str,
        clock: Callable[[], float] = time.monotonic,
    ):
        now = clock()
        self.in_flight = self._most_in_flight = float(settings.concurrency)
        self._name = name
        self._clock = clock
        self._requests = _Rate("requests", settings.requests_per_minute, now)
        self._tokens = _Rate("tokens", settings.tokens_per_minute, now)
        self._share = 1.0
        self._paused_until = -math.inf
        self._halved_until = -math.inf

    def wait_s(self, tokens: int) -> float:
        """Seconds until a call of so many tokens at most may be sent; 0 when it may be now."""
        requests, spent = self._requests.bucket, self._tokens.bucket
        if requests is None and spent is None and self._paused_until == -math.inf:
            return 0.0
        now = self._clock()
        wait = self._paused_until - now
        if wait <= 0:
            self._paused_until = -math.inf
        if requests is not None:
            wait = max(wait, requests.wait_s(1.0, now))
        if spent is not None:
            wait = max(wait, spent.wait_s(tokens * self._share, now))
        return max(0.0, wait)

    def take(self, tokens: int) -> float:
        """Count a call that is about to be sent; returns the tokens that are set aside for it.

        These are the tokens that a call of this size used lately.
        """
        if self._requests.bucket is not None:
            self._requests.bucket.take(1.0, self._clock())
        if self._tokens.bucket is None:
            return 0.0
        set_aside = tokens * self._share
        self._tokens.bucket.take(set_aside, self._clock())
        return set_aside

    def settle(self, tokens: int, set_aside: float, used: int) -> None:
        """Correct what was set aside to the tokens ``used``; ``tokens`` as given to ``take``."""
        if self._tokens.bucket is None:
            return
        self._tokens.bucket.take(used - set_aside, self._clock())
        if tokens > 0:
            self._share += _NEWS * (used / tokens - self._share)

    def give_back(self, set_aside: float, *, request: bool) -> None:
        """The tokens of a call that used none; with ``request`` the call was not even sent."""
        if request and self._requests.bucket is not None:
            self._requests.bucket.take(-1.0, self._clock())
        if self._tokens.bucket is not None:
            self._tokens.bucket.take(-set_aside, self._clock())

    def heed(self, headers: Mapping[str, str]) -> None:
        """Take over the rates in a response's headers; pause where nothing remains of one."""
        for rate in (self._requests, self._tokens):
            limit, remaining = headers.get(rate.limit), headers.get(rate.remaining)
            if limit is not None:
                rate.lower(read_number(limit), self._clock())
            if remaining is not None and read_number(remaining) == 0:
                self.pause(read_reset(headers.get(rate.reset)))

    def pause(self, seconds: float | None) -> None:
        """Send nothing for so long."""
        if not seconds:
            return
        until = self._clock() + seconds
        if seconds >= _LOGGED_PAUSE_S and until > self._paused_until + 1:
            logger.info("%s asks for a pause of %.0f s", self._name, seconds)
        self._paused_until = max(self._paused_until, until)

    def slow_down(self, wait_s: float | None) -> None:
        """After a 429: pause for ``wait_s`` and halve ``in_flight``.

        Answers to calls that were sent before the halving say nothing about it, so there is one
        halving a second, or one in ``wait_s`` if that is longer.
        """
        now = self._clock()
        if now >= self._halved_until:
            self.in_flight = max(1.0, self.in_flight / 2)
            self._halved_until = now + max(_HALVING_S, wait_s or 0.0)
        self.pause(wait_s)

    def speed_up(self) -> None:
        """After a reply: one more in flight per ``in_flight`` replies."""
        if self.in_flight < self._most_in_flight:
            self.in_flight = min(self._most_in_flight, self.in_flight + 1 / self.in_flight)


class _Rate:
    """Requests or tokens per minute: the bucket, None as long as no limit is known."""

    def __init__(self, unit: str, configured: float | None, now: float):
        self.limit = istr(f"x-ratelimit-limit-{unit}")
        self.remaining = istr(f"x-ratelimit-remaining-{unit}")
        self.reset = istr(f"x-ratelimit-reset-{unit}")
        self.bucket = Bucket(configured, now) if configured else None
        self._configured = configured or math.inf

    def lower(self, told: float | None, now: float) -> None:
        """Keep to the limit that a header tells; what is configured stays the upper bound."""
        if not told or told < 0:
            return
        per_minute = min(told, self._configured)
        if self.bucket is None:
            self.bucket = Bucket(per_minute, now)
        elif self.bucket.per_minute != per_minute:
            self.bucket.set_rate(per_minute, now)


def read_number(value: str | None) -> float | None:
    """The finite number in a header; None when there is none."""
    try:
        number = float(value) if value is not None else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def read_reset(value: str | None) -> float | None:
    """Seconds in an ``x-ratelimit-reset-…`` header: ``1.5``, ``20ms``, ``6m0s``.

    None for anything else, moments such as seconds since 1970 among them.
    """
    if value is None:
        return None
    if (seconds := read_number(value)) is not None:
        return seconds if 0 <= seconds < _LONGEST_PLAIN_S else None
    if not _DURATION.fullmatch(value.strip()):
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(value))
