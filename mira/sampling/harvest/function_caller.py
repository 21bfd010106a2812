"""An agent that answers small requests by calling typed functions with JSON arguments."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

from mira.sampling.harvest.agent_scripts import Call, Script, Stage, Step, play_all
from mira.sampling.harvest.agent_tools import Toolbox
from mira.sampling.harvest.base import Draft, HarvestSettings
from mira.sampling.harvest.draw import Draw
from mira.sampling.harvest.functions import FUNCTIONS

_TOOLS = Toolbox(FUNCTIONS)
_SYSTEMS = (
    "You can call these functions. Arguments are JSON.\n{schemas}",
    "You are a helpful assistant with functions. Use them instead of calculating yourself.\n"
    "{schemas}",
    "# Functions\n{schemas}\nDates are YYYY-MM-DD. Answer in one or two sentences.",
)
_CITIES = {
    "Berlin": (52.52, 13.405),
    "Lagos": (6.455, 3.394),
    "Lima": (-12.046, -77.043),
    "Osaka": (34.694, 135.502),
    "Oslo": (59.913, 10.752),
    "Quito": (-0.181, -78.468),
    "Sydney": (-33.869, 151.209),
    "Toronto": (43.653, -79.383),
}
_WORDS_TEXT = "amber basil cedar dune ember fjord grove hazel iris juniper kelp lotus maple nectar"
_WORDS = _WORDS_TEXT.split()
_EVENTS = ("conference", "delivery", "exam", "launch", "wedding", "inspection", "concert")


def function_caller(settings: HarvestSettings) -> Iterator[Draft]:
    """Requests of all kinds in turn; every call is really executed (ours)."""

    def prepare(draw: Draw, index: int) -> Stage:
        script = REQUESTS[index % len(REQUESTS)](draw)
        needed = {step.call.tool for step in script.steps}
        others = [name for name in _TOOLS.tools if name not in needed]
        offered = draw.shuffled([*sorted(needed), *draw.sample(others, draw.whole(1, 5))])
        toolbox = Toolbox([_TOOLS.tools[name] for name in offered])
        schemas = "\n".join(json.dumps(tool.schema) for tool in toolbox.tools.values())
        return Stage(toolbox, draw.pick(_SYSTEMS).format(schemas=schemas), script)

    yield from play_all("function_caller", settings, prepare)


def _value(call: Call) -> Any:
    """What the call gives, to plan the calls that depend on it."""
    return _TOOLS.tools[call.tool].run(**call.arguments)


def _convert(draw: Draw) -> Script:
    """One or several conversions of units."""
    kind, units, key = draw.pick(
        (
            ("convert_length", ("m", "km", "cm", "mile", "foot", "inch"), "value"),
            ("convert_mass", ("g", "kg", "pound", "ounce"), "value"),
            ("convert_temperature", ("C", "F", "K"), "value"),
            ("convert_currency", ("EUR", "USD", "GBP", "JPY", "CHF"), "amount"),
        )
    )
    source, target = draw.sample(units, 2)
    values = [draw.whole(2, 900) / draw.pick((1, 2, 10)) for _ in range(draw.whole(1, 3))]
    steps, found = [], []
    for value in values:
        call = Call(kind, {key: value, "source": source, "target": target})
        found.append(f"{value} {source} = {_value(call)} {target}")
        slip = Call(kind, {key: value, "source": f"{source}s", "target": target})
        after = f"The unit is called {source}."
        steps.append(Step(call, f"Convert {value} {source} to {target}.", slip, after))
    shown = ", ".join(map(str, values))
    return Script(
        kind,
        draw.pick(
            (
                f"How much is {shown} {source} in {target}?",
                f"Please convert {shown} from {source} to {target}.",
                f"I need {shown} {source} expressed in {target}.",
            )
        ),
        steps,
        f"{'; '.join(found)}.",
        f"{len(steps)} call(s) of {kind}.",
        f"That is roughly {draw.whole(1, 500)} {target}.",
        "One conversion for each value.",
    )


def _deadline(draw: Draw) -> Script:
    """A date some days on, and its weekday."""
    day = (date(2023, 1, 1) + timedelta(days=draw.whole(0, 1500))).isoformat()
    days, event = draw.whole(5, 400), draw.pick(_EVENTS)
    later = Call("add_days", {"day": day, "days": days})
    target = _value(later)
    name = Call("weekday", {"day": target})
    year, month, rest = day.split("-")
    slip = Call("add_days", {"day": f"{rest}.{month}.{year}", "days": days})
    return Script(
        "deadline",
        draw.pick(
            (
                f"The {event} is {days} days after {day}. Which date and weekday is that?",
                f"Our {event} takes place {days} days from {day}. On what weekday does it fall?",
                f"Count {days} days forward from {day}. When is the {event} (date, weekday)?",
            )
        ),
        [
            Step(later, f"First the date {days} days later.", slip, "The date must be YYYY-MM-DD."),
            Step(name, f"Now the weekday of {target}.", Call("weekday", {"date": target})),
        ],
        f"The {event} is on {_value(name)}, {target}.",
        f"add_days gave {target} and weekday gave {_value(name)}.",
        f"The {event} is on a {draw.pick(('Sunday', 'Monday', 'Friday'))}.",
        "Add the days, then look up the weekday.",
    )


def _interval(draw: Draw) -> Script:
    """Which of two periods is longer."""
    start = date(2020, 1, 1)
    days = [(start + timedelta(days=draw.whole(0, 2500))).isoformat() for _ in range(4)]
    (a, b), (c, d) = sorted(days[:2]), sorted(days[2:])
    first = Call("days_between", {"first": a, "second": b})
    second = Call("days_between", {"first": c, "second": d})
    n, m = _value(first), _value(second)
    verdict = (
        "both are equally long" if n == m else f"the {'first' if n > m else 'second'} is longer"
    )
    return Script(
        "interval",
        f"Which period is longer: {a} to {b}, or {c} to {d}? Give the days of each.",
        [
            Step(first, "Days of the first period.", Call("days_between", {"from": a, "to": b})),
            Step(second, "Days of the second.", Call("days_between", {"first": c})),
        ],
        f"{n} days against {m} days: {verdict}.",
        f"days_between returned {n} and {m}.",
        f"The {draw.pick(('first', 'second'))} one, by about {draw.whole(2, 300)} days.",
        "Measure both periods and compare.",
    )


def _statistics(draw: Draw) -> Script:
    """Mean, median or spread of some measurements."""
    values = [draw.whole(1, 200) / 2 for _ in range(draw.whole(4, 9))]
    wanted = draw.sample(("mean", "median", "spread"), draw.whole(1, 3))
    calls = [Call(name, {"values": values}) for name in wanted]
    found = ", ".join(f"{c.tool} {_value(c)}" for c in calls)
    text = ",".join(map(str, values))
    words = {"mean": "the average", "median": "the median", "spread": "the standard deviation"}
    asked = " and ".join(words[name] for name in wanted)
    subject = draw.pick(("waiting times", "test scores", "daily sales", "weights", "rainfalls"))
    return Script(
        "statistics",
        f"These are our {subject}: {', '.join(map(str, values))}. Tell me {asked}.",
        [
            Step(c, f"I compute the {c.tool}.", Call(c.tool, {"values": text}), "It takes a list.")
            for c in calls
        ],
        f"For the {len(values)} {subject}: {found}.",
        f"the function(s) {', '.join(wanted)} applied to all {len(values)} values.",
        f"About {draw.whole(1, 90)}.",
        "Pass the whole list to each function.",
    )


def _ordering(draw: Draw) -> Script:
    """Sorting words or numbers and reporting the extremes."""
    if draw.chance(0.5):
        words = draw.sample(_WORDS, draw.whole(4, 8))
        by_length = draw.chance(0.5)
        call = Call("sort_words", {"words": words, "by_length": by_length})
        how, shown = ("by length" if by_length else "alphabetically"), ", ".join(words)
        slip = Call("sort_words", {"words": words, "key": how})
    else:
        numbers = [draw.whole(-50, 500) for _ in range(draw.whole(5, 10))]
        descending = draw.chance(0.5)
        call = Call("sort_numbers", {"values": numbers, "descending": descending})
        how, shown = ("downwards" if descending else "upwards"), ", ".join(map(str, numbers))
        slip = Call("sort_numbers", {"numbers": numbers})
    ordered = _value(call)
    return Script(
        "ordering",
        draw.pick((f"Sort {how}: {shown}. What comes first?", f"Put in order {how}: {shown}.")),
        [Step(call, f"Sort them {how}.", slip)],
        f"In order: {', '.join(map(str, ordered))}. First is {ordered[0]}, last {ordered[-1]}.",
        f"the list that {call.tool} returned.",
        f"First comes {shown.split(', ')[0]}.",
    )


def _text(draw: Draw) -> Script:
    """Counting letters, reversing, making a slug."""
    phrase = " ".join(w.capitalize() for w in draw.sample(_WORDS, draw.whole(2, 4)))
    letter = draw.pick("aeirn")
    count = Call("count_letters", {"text": phrase, "letter": letter})
    slug = Call("slugify", {"text": f"{phrase}!"})
    back = Call("reverse_text", {"text": phrase})
    chosen = draw.sample((count, slug, back), draw.whole(1, 3))
    asked = {
        "count_letters": f"count the letter {letter}",
        "slugify": "make a URL slug (of the text with an exclamation mark)",
        "reverse_text": "write it backwards",
    }
    slips = {"count_letters": Call("count_letters", {"text": phrase, "letter": letter * 2})}
    return Script(
        "text",
        f'Take the text "{phrase}" and {", then ".join(asked[c.tool] for c in chosen)}.',
        [
            Step(c, f"Next: {asked[c.tool]}.", slips.get(c.tool, Call(c.tool, {"input": phrase})))
            for c in chosen
        ],
        " ".join(f"{asked[c.tool].capitalize()}: {_value(c)}." for c in chosen),
        f"the replies of {', '.join(c.tool for c in chosen)}.",
        f"It is {phrase[::2]}.",
    )


def _numbers(draw: Draw) -> Script:
    """Which of some numbers are prime, and the factors of the others."""
    numbers = [draw.whole(20, 900) for _ in range(draw.whole(1, 4))]
    steps, told = [], []
    for number in numbers:
        test = Call("is_prime", {"number": number})
        slip = Call("is_prime", {"number": str(number)})
        steps.append(Step(test, f"Is {number} prime?", slip, "It must be a number, not a string."))
        if _value(test):
            told.append(f"{number} is prime")
        else:
            factors = Call("factorise", {"number": number})
            steps.append(Step(factors, f"{number} is not, so I factorise it."))
            told.append(f"{number} = {' × '.join(map(str, _value(factors)))}")
    shown = ", ".join(map(str, numbers))
    return Script(
        "numbers",
        f"Check whether prime, and give the prime factors otherwise: {shown}.",
        steps,
        f"{'; '.join(told)}.",
        f"{len(steps)} function calls, one test for each number.",
        f"{numbers[0]} is {'prime' if numbers[0] % 2 == 0 else 'divisible by 4'}.",
        "Test each number; factorise those that are not prime.",
    )


def _money(draw: Draw) -> Script:
    """A loan's payment, in another currency, or a change in percent."""
    if draw.chance(0.5):
        principal, rate, months = (
            500 * draw.whole(4, 120),
            draw.whole(1, 90) / 10,
            draw.whole(6, 84),
        )
        loan = {"principal": principal, "yearly_rate": rate, "months": months}
        payment = Call("loan_payment", loan)
        target = draw.pick(("USD", "GBP", "CHF"))
        change = Call(
            "convert_currency", {"amount": _value(payment), "source": "EUR", "target": target}
        )
        slip = Call("loan_payment", {**loan, "months": 0})
        return Script(
            "loan",
            f"I borrow {principal} euros at {rate}% a year over {months} months. What do I pay a "
            f"month, and how much is that in {target}?",
            [
                Step(payment, "First the monthly payment.", slip),
                Step(change, f"Then convert it to {target}."),
            ],
            f"You pay {_value(payment)} EUR a month, which is {_value(change)} {target}.",
            f"loan_payment returned {_value(payment)}, convert_currency {_value(change)}.",
            f"About {principal // months} EUR, interest hardly matters.",
            "Payment in euros, then conversion.",
        )
    before, after = draw.whole(50, 900), draw.whole(50, 900)
    call = Call("percent_change", {"before": before, "after": after})
    slip = Call("percent_change", {"before": 0, "after": after})
    return Script(
        "change",
        f"Sales went from {before} to {after}. By how many percent did they change?",
        [Step(call, "The change relative to the first value.", slip, "The first value is not 0.")],
        f"Sales changed by {_value(call)}%.",
        f"percent_change({before}, {after}) returned {_value(call)}.",
        f"They changed by {abs(after - before)}%.",
    )


def _travel(draw: Draw) -> Script:
    """A distance in kilometres and miles, and the time to travel it."""
    a, b = draw.sample(sorted(_CITIES), 2)
    (lat1, lon1), (lat2, lon2) = _CITIES[a], _CITIES[b]
    places = {"lat1": lat1, "lon1": lon1, "lat2": lat2, "lon2": lon2}
    way = Call("distance_km", places)
    km, speed = _value(way), draw.whole(60, 900)
    hours = Call("divide", {"dividend": km, "divisor": speed})
    miles = Call("convert_length", {"value": km, "source": "km", "target": "mile"})
    slip = Call("distance_km", {"from": a, "to": b})
    steps = [
        Step(way, f"The distance from {a} to {b} needs coordinates.", slip, "It takes degrees."),
        Step(hours, "Distance divided by speed.", Call("divide", {"dividend": km, "divisor": 0})),
    ]
    answer = f"{a} and {b} are {km} km apart; at {speed} km/h that takes {_value(hours)} h."
    if draw.chance(0.5):
        steps.append(Step(miles, "And in miles."))
        answer += f" The distance is {_value(miles)} miles."
    return Script(
        "travel",
        f"How far is it from {a} ({lat1}, {lon1}) to {b} ({lat2}, {lon2})"
        f"{', also in miles,' if len(steps) == 3 else ''} and how long is it at {speed} km/h?",
        steps,
        answer,
        f"distance_km returned {km} and divide {_value(hours)}.",
        f"It is about {draw.whole(2, 19) * 1000} km.",
        "Distance first, then time.",
    )


REQUESTS: tuple[Callable[[Draw], Script], ...] = (
    _convert,
    _deadline,
    _interval,
    _statistics,
    _ordering,
    _text,
    _numbers,
    _money,
    _travel,
)
