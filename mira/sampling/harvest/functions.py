"""Typed functions that an agent calls through JSON arguments."""

from __future__ import annotations

import math
import statistics
from datetime import date, timedelta

from mira.sampling.harvest.agent_tools import Tool, ToolError

_METRES = {"m": 1.0, "km": 1000.0, "cm": 0.01, "mile": 1609.344, "foot": 0.3048, "inch": 0.0254}
_GRAMS = {"g": 1.0, "kg": 1000.0, "pound": 453.59237, "ounce": 28.349523125}
_RATES = {"EUR": 1.0, "USD": 1.08, "GBP": 0.86, "JPY": 162.0, "CHF": 0.95}


def convert_length(value: float, source: str, target: str) -> float:
    """A length in another unit."""
    return round(value * _known(_METRES, source) / _known(_METRES, target), 4)


def convert_mass(value: float, source: str, target: str) -> float:
    """A mass in another unit."""
    return round(value * _known(_GRAMS, source) / _known(_GRAMS, target), 4)


def convert_currency(amount: float, source: str, target: str) -> float:
    """An amount in another currency, at fixed rates."""
    return round(amount / _known(_RATES, source) * _known(_RATES, target), 2)


def convert_temperature(value: float, source: str, target: str) -> float:
    """A temperature between C, F and K."""
    to_celsius = {"C": value, "F": (value - 32) * 5 / 9, "K": value - 273.15}
    celsius = _known(to_celsius, source)
    return round(
        _known({"C": celsius, "F": celsius * 9 / 5 + 32, "K": celsius + 273.15}, target), 2
    )


def add_days(day: str, days: int) -> str:
    """The date some days later."""
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()


def days_between(first: str, second: str) -> int:
    """Days from one date to another."""
    return (date.fromisoformat(second) - date.fromisoformat(first)).days


def weekday(day: str) -> str:
    """The English name of a date's weekday."""
    names = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
    return names[date.fromisoformat(day).weekday()]


def mean(values: list[float]) -> float:
    """Arithmetic mean."""
    return round(statistics.fmean(values), 4)


def median(values: list[float]) -> float:
    """Median."""
    return statistics.median(values)


def spread(values: list[float]) -> float:
    """Sample standard deviation."""
    return round(statistics.stdev(values), 4)


def sort_numbers(values: list[float], descending: bool = False) -> list[float]:
    """Numbers in order."""
    return sorted(values, reverse=descending)


def sort_words(words: list[str], by_length: bool = False) -> list[str]:
    """Words in alphabetical order, or by length."""
    return sorted(words, key=(lambda w: (len(w), w)) if by_length else None)


def reverse_text(text: str) -> str:
    """The text backwards."""
    return text[::-1]


def count_letters(text: str, letter: str) -> int:
    """How often a letter occurs, case aside."""
    if len(letter) != 1:
        raise ToolError("letter must be a single character")
    return text.lower().count(letter.lower())


def slugify(text: str) -> str:
    """Small letters and digits joined by dashes."""
    return "-".join("".join(c if c.isalnum() else " " for c in text.lower()).split())


def is_prime(number: int) -> bool:
    """Whether the number is prime."""
    return number > 1 and all(number % d for d in range(2, math.isqrt(number) + 1))


def factorise(number: int) -> list[int]:
    """Prime factors in ascending order."""
    if number < 2:
        raise ToolError("number must be at least 2")
    factors, divisor = [], 2
    while number > 1:
        while number % divisor == 0:
            factors.append(divisor)
            number //= divisor
        divisor += 1
    return factors


def divide(dividend: float, divisor: float) -> float:
    """A quotient."""
    return round(dividend / divisor, 4)


def percent_change(before: float, after: float) -> float:
    """Change in percent of the first value."""
    return round(100 * (after - before) / before, 2)


def loan_payment(principal: float, yearly_rate: float, months: int) -> float:
    """Monthly payment of an annuity loan; the rate is in percent."""
    rate = yearly_rate / 1200
    if months < 1:
        raise ToolError("months must be at least 1")
    return round(
        principal / months if rate == 0 else principal * rate / (1 - (1 + rate) ** -months), 2
    )


def distance_km(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Great-circle distance of two places given in degrees."""
    a, b = math.radians(lat1), math.radians(lat2)
    half = math.sin((b - a) / 2) ** 2
    half += math.cos(a) * math.cos(b) * math.sin(math.radians(lon2 - lon1) / 2) ** 2
    return round(2 * 6371.0 * math.asin(math.sqrt(half)), 1)


_UNITS = {"value": "number", "source": "string", "target": "string"}
_AMOUNT = {"amount": "number", "source": "string", "target": "string"}
_NUMBERS = {"values": "array of number"}
_PLACES = {"lat1": "number", "lon1": "number", "lat2": "number", "lon2": "number"}
_LOAN = {"principal": "number", "yearly_rate": "number", "months": "integer"}

FUNCTIONS: tuple[Tool, ...] = tuple(
    Tool(run.__name__, (run.__doc__ or "").strip(), parameters, run, frozenset(optional))
    for run, parameters, optional in (
        (convert_length, _UNITS, ()),
        (convert_mass, _UNITS, ()),
        (convert_currency, _AMOUNT, ()),
        (convert_temperature, _UNITS, ()),
        (add_days, {"day": "string", "days": "integer"}, ()),
        (days_between, {"first": "string", "second": "string"}, ()),
        (weekday, {"day": "string"}, ()),
        (mean, _NUMBERS, ()),
        (median, _NUMBERS, ()),
        (spread, _NUMBERS, ()),
        (sort_numbers, {**_NUMBERS, "descending": "boolean"}, ("descending",)),
        (sort_words, {"words": "array of string", "by_length": "boolean"}, ("by_length",)),
        (reverse_text, {"text": "string"}, ()),
        (count_letters, {"text": "string", "letter": "string"}, ()),
        (slugify, {"text": "string"}, ()),
        (is_prime, {"number": "integer"}, ()),
        (factorise, {"number": "integer"}, ()),
        (divide, {"dividend": "number", "divisor": "number"}, ()),
        (percent_change, {"before": "number", "after": "number"}, ()),
        (loan_payment, _LOAN, ()),
        (distance_km, _PLACES, ()),
    )
)


def _known(table: dict[str, float], unit: str) -> float:
    if unit not in table:
        raise ToolError(f"unknown unit '{unit}', expected one of {', '.join(table)}")
    return table[unit]
