"""Problems of arithmetic and everyday calculation, each solved step by step by its function."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from mira.sampling.harvest.draw import Draw

_NAMES_TEXT = "Amir Bella Chen Dana Elif Farid Greta Hugo Ines Jonas Kira Leo Mina Noor Otto Priya"
NAMES = _NAMES_TEXT.split()
_GOODS_TEXT = "notebooks lamps plants tickets bricks candles posters batteries tiles mugs"
GOODS = _GOODS_TEXT.split()


@dataclass(frozen=True)
class Problem:
    """A problem, its solution in steps, and a Python expression that is true of the answer."""

    question: str
    steps: list[str]
    answer: str
    check: str


Maker = Callable[[Draw], Problem]


def addition(draw: Draw) -> Problem:
    """Column addition with carries."""
    numbers = [draw.whole(1_000, 999_999) for _ in range(draw.whole(2, 4))]
    shown = " + ".join(map(str, numbers))
    steps, carry, place = [], 0, 1
    while place <= max(numbers) or carry:
        digits = [n // place % 10 for n in numbers]
        total = sum(digits) + carry
        plus = " + ".join(map(str, digits)) + (f" + {carry} carried" if carry else "")
        keep = f"write {total % 10}" + (f", carry {total // 10}" if total >= 10 else "")
        steps.append(f"Column of {place}: {plus} = {total}; {keep}.")
        carry, place = total // 10, place * 10
    total = sum(numbers)
    return Problem(f"Add the numbers: {shown}.", steps, str(total), f"{shown} == {total}")


def multiplication(draw: Draw) -> Problem:
    """Long multiplication by partial products."""
    a, b = draw.whole(123, 9876), draw.whole(12, 987)
    steps, parts = [], []
    for power, digit in enumerate(reversed(str(b))):
        part = a * int(digit) * 10**power
        if part:
            parts.append(part)
            steps.append(f"{a} × {int(digit) * 10**power} = {part}")
    steps.append(f"Add the partial products: {' + '.join(map(str, parts))} = {a * b}")
    person, goods = draw.pick(NAMES), draw.pick(GOODS)
    question = draw.pick(
        (
            f"Compute {a} × {b}.",
            f"What is {a} times {b}? Use long multiplication.",
            f"{person} packs {b} boxes with {a} {goods} each. How many {goods} is that?",
        )
    )
    return Problem(question, steps, str(a * b), f"{a} * {b} == {a * b}")


def division(draw: Draw) -> Problem:
    """Long division with a remainder."""
    b, a = draw.whole(3, 97), draw.whole(1_000, 99_999)
    steps, rest = [], 0
    for digit in str(a):
        current = rest * 10 + int(digit)
        count, left = divmod(current, b)
        if current:
            steps.append(
                f"Bring down {digit}: {current} ÷ {b} is {count}, since {count} × {b} = "
                f"{count * b}; {current} − {count * b} = {left}."
            )
        rest = left
    q, r = divmod(a, b)
    person, goods = draw.pick(NAMES), draw.pick(GOODS)
    question = draw.pick(
        (
            f"Divide {a} by {b} and give quotient and remainder.",
            f"{person} shares {a} {goods} equally among {b} shops. How many does each get, and "
            f"how many are left?",
        )
    )
    return Problem(question, steps, f"{q} remainder {r}", f"divmod({a}, {b}) == ({q}, {r})")


def fraction_sum(draw: Draw) -> Problem:
    """Adding or subtracting fractions over a common denominator."""
    b, d = draw.whole(3, 24), draw.whole(3, 24)
    a, c = draw.whole(1, 2 * b), draw.whole(1, 2 * d)
    plus = draw.chance(0.6) or Fraction(a, b) < Fraction(c, d)
    sign, common = ("+" if plus else "−"), math.lcm(b, d)
    left, right = a * common // b, c * common // d
    top = left + right if plus else left - right
    result = Fraction(top, common)
    steps = [
        f"The least common denominator of {b} and {d} is {common}.",
        f"{a}/{b} = {left}/{common} and {c}/{d} = {right}/{common}.",
        f"{left}/{common} {sign} {right}/{common} = {top}/{common}.",
    ]
    if result.denominator != common:
        steps.append(f"Cancel {math.gcd(top, common)}: {top}/{common} = {result}.")
    operator = "+" if plus else "-"
    check = f"Fraction({a}, {b}) {operator} Fraction({c}, {d}) == Fraction({top}, {common})"
    return Problem(f"Calculate {a}/{b} {sign} {c}/{d} in lowest terms.", steps, str(result), check)


def percentage(draw: Draw) -> Problem:
    """A price that changes twice by a percentage."""
    price, up, down = 20 * draw.whole(5, 200), 5 * draw.whole(1, 8), 5 * draw.whole(1, 8)
    middle = Fraction(price * (100 + up), 100)
    final = middle * (100 - down) / 100
    goods, shown = draw.pick(GOODS), f"{float(final):.2f}"
    steps = [
        f"Raising by {up}% multiplies by {(100 + up) / 100:.2f}: {price} × {(100 + up) / 100:.2f} "
        f"= {float(middle):.2f}.",
        f"Lowering by {down}% multiplies by {(100 - down) / 100:.2f}: {float(middle):.2f} × "
        f"{(100 - down) / 100:.2f} = {shown}.",
    ]
    question = (
        f"A set of {goods} costs {price} euros. The price goes up by {up}% and later down by "
        f"{down}%. What does it cost now?"
    )
    check = (
        f"round(Fraction({price}) * {100 + up} * {100 - down} / 10000, 2) == Fraction('{shown}')"
    )
    return Problem(question, steps, f"{shown} euros", check)


def ratio(draw: Draw) -> Problem:
    """Sharing an amount in a ratio."""
    parts = [draw.whole(1, 9) for _ in range(draw.whole(2, 3))]
    unit = draw.whole(3, 120)
    people = draw.sample(NAMES, len(parts))
    total, shares = unit * sum(parts), [unit * part for part in parts]
    steps = [
        f"There are {' + '.join(map(str, parts))} = {sum(parts)} parts in all.",
        f"One part is {total} ÷ {sum(parts)} = {unit}.",
        *(
            f"{who}: {part} × {unit} = {part * unit}."
            for who, part in zip(people, parts, strict=True)
        ),
    ]
    shown = ", ".join(f"{who} {share}" for who, share in zip(people, shares, strict=True))
    question = (
        f"{' and '.join(people)} share {total} {draw.pick(GOODS)} in the ratio "
        f"{':'.join(map(str, parts))}. How many does each get?"
    )
    check = (
        f"[p * {total} // {sum(parts)} for p in {parts}] == {shares} and sum({shares}) == {total}"
    )
    return Problem(question, steps, shown, check)


def common_divisor(draw: Draw) -> Problem:
    """Greatest common divisor by Euclid's algorithm, then the least common multiple."""
    factor = draw.whole(2, 60)
    a, b = factor * draw.whole(11, 150), factor * draw.whole(5, 90)
    steps, x, y = [], max(a, b), min(a, b)
    while y:
        steps.append(f"{x} = {x // y} × {y} + {x % y}")
        x, y = y, x % y
    steps.append(f"The last divisor before the remainder 0 is {x}, so gcd({a}, {b}) = {x}.")
    check = f"math.gcd({a}, {b}) == {x}"
    if draw.chance(0.5):
        return Problem(f"Find the greatest common divisor of {a} and {b}.", steps, str(x), check)
    multiple = a * b // x
    steps.append(f"lcm = {a} × {b} ÷ {x} = {multiple}.")
    question = f"Find the least common multiple of {a} and {b} with Euclid's algorithm."
    return Problem(question, steps, str(multiple), f"{check} and math.lcm({a}, {b}) == {multiple}")


def prime_factors(draw: Draw) -> Problem:
    """Prime factorisation by trial division."""
    number = math.prod(draw.pick((2, 2, 3, 3, 5, 7, 11, 13, 17)) for _ in range(draw.whole(3, 6)))
    rest, divisor, factors, steps = number, 2, [], []
    while rest > 1:
        if rest % divisor:
            divisor += 1
            continue
        steps.append(f"{rest} ÷ {divisor} = {rest // divisor}")
        factors.append(divisor)
        rest //= divisor
    powers = {p: factors.count(p) for p in factors}
    shown = " × ".join(f"{p}^{n}" if n > 1 else str(p) for p, n in powers.items())
    question = draw.pick(
        (f"Write {number} as a product of primes.", f"What is the prime factorisation of {number}?")
    )
    return Problem(question, steps, f"{number} = {shown}", f"math.prod({factors}) == {number}")


def base_change(draw: Draw) -> Problem:
    """Writing a number in another base by repeated division."""
    number, base = draw.whole(40, 9_999), draw.pick((2, 3, 5, 7, 8, 12, 16))
    signs, rest, digits, steps = "0123456789ABCDEF", number, "", []
    while rest:
        steps.append(
            f"{rest} = {base} × {rest // base} + {rest % base}, digit {signs[rest % base]}"
        )
        digits = signs[rest % base] + digits
        rest //= base
    steps.append(f"Read the digits from the last to the first: {digits}.")
    question = f"Convert {number} from base 10 to base {base}."
    return Problem(
        question, steps, f"{digits} (base {base})", f"int('{digits}', {base}) == {number}"
    )


def modular_power(draw: Draw) -> Problem:
    """A power modulo a number, by squaring."""
    base, exponent, modulus = draw.whole(2, 30), draw.whole(5, 120), draw.whole(7, 101)
    steps = [f"In binary the exponent {exponent} is {exponent:b}. Square repeatedly mod {modulus}."]
    square, result, power = base % modulus, 1, 1
    while power <= exponent:
        if exponent & power:
            result = result * square % modulus
            steps.append(f"{base}^{power} ≡ {square}; use it: the product is now {result}.")
        else:
            steps.append(f"{base}^{power} ≡ {square}; its bit is 0, so it is not used.")
        square, power = square * square % modulus, 2 * power
    question = f"What is the remainder of {base}^{exponent} divided by {modulus}?"
    return Problem(question, steps, str(result), f"pow({base}, {exponent}, {modulus}) == {result}")


def mean_median(draw: Draw) -> Problem:
    """Mean and median of a small data set."""
    data = [draw.whole(2, 99) for _ in range(draw.whole(5, 10))]
    ordered, n = sorted(data), len(data)
    mean = Fraction(sum(data), n)
    middle = ordered[n // 2 - (1 - n % 2) : n // 2 + 1]
    median = Fraction(sum(middle), len(middle))
    steps = [
        f"Sum: {' + '.join(map(str, data))} = {sum(data)}.",
        f"Mean: {sum(data)} ÷ {n} = {float(mean):.2f}.",
        f"In order: {', '.join(map(str, ordered))}.",
        f"Middle value{'s' if n % 2 == 0 else ''}: {' and '.join(map(str, middle))}, "
        f"so the median is {float(median):g}.",
    ]
    answer = f"mean {float(mean):.2f}, median {float(median):g}"
    check = f"sum({data}) == {sum(data)} and statistics.median({data}) == {float(median)}"
    question = f"Find mean and median of these measurements: {', '.join(map(str, data))}."
    return Problem(question, steps, answer, check)


def journey(draw: Draw) -> Problem:
    """Average speed over two legs of a journey."""
    v1, t1, v2, t2 = (
        5 * draw.whole(6, 24),
        draw.whole(1, 5),
        5 * draw.whole(6, 24),
        draw.whole(1, 5),
    )
    distance, hours = v1 * t1 + v2 * t2, t1 + t2
    speed = Fraction(distance, hours)
    steps = [
        f"First leg: {v1} km/h × {t1} h = {v1 * t1} km.",
        f"Second leg: {v2} km/h × {t2} h = {v2 * t2} km.",
        f"Total: {distance} km in {hours} h.",
        f"Average speed = total distance ÷ total time = {distance}/{hours} = "
        f"{float(speed):.1f} km/h (each leg counts by its time).",
    ]
    question = (
        f"{draw.pick(NAMES)} drives {t1} h at {v1} km/h and then {t2} h at {v2} km/h. "
        f"What is the average speed of the whole trip?"
    )
    check = f"Fraction({v1 * t1} + {v2 * t2}, {t1} + {t2}) == Fraction({distance}, {hours})"
    return Problem(question, steps, f"{float(speed):.1f} km/h", check)


def interest(draw: Draw) -> Problem:
    """Compound interest year by year."""
    start, rate, years = 100 * draw.whole(5, 90), draw.whole(1, 9), draw.whole(2, 5)
    balance, steps = Fraction(start), []
    for year in range(1, years + 1):
        balance = balance * (100 + rate) / 100
        steps.append(f"After year {year}: × {1 + rate / 100:.2f} = {float(balance):.2f}.")
    final = f"{float(balance):.2f}"
    question = (
        f"{draw.pick(NAMES)} deposits {start} euros at {rate}% interest a year, compounded yearly. "
        f"How much is it after {years} years?"
    )
    check = f"abs({start} * Fraction({100 + rate}, 100) ** {years} - Fraction('{final}')) < 0.006"
    return Problem(question, steps, f"{final} euros", check)


def urn(draw: Draw) -> Problem:
    """Two balls from an urn without putting the first back."""
    red, blue = draw.whole(2, 12), draw.whole(2, 12)
    total = red + blue
    both = Fraction(red * (red - 1), total * (total - 1))
    mixed = Fraction(2 * red * blue, total * (total - 1))
    steps = [f"There are {total} balls; the second is drawn from {total - 1}."]
    if draw.chance(0.5):
        steps.append(f"First red: {red}/{total}. Then red again: {red - 1}/{total - 1}.")
        steps.append(f"Multiply: {red * (red - 1)}/{total * (total - 1)} = {both}.")
        asked, result = "that both are red", both
        check = f"Fraction(math.comb({red}, 2), math.comb({total}, 2)) == "
    else:
        steps.append(f"Red then blue: {red}/{total} × {blue}/{total - 1}; blue then red is equal.")
        steps.append(f"Together 2 × {red * blue}/{total * (total - 1)} = {mixed}.")
        asked, result = "that they have different colours", mixed
        check = f"Fraction({red} * {blue}, math.comb({total}, 2)) == "
    question = (
        f"An urn holds {red} red and {blue} blue balls. Two are drawn without replacement. "
        f"What is the probability {asked}?"
    )
    check += f"Fraction({result.numerator}, {result.denominator})"
    return Problem(question, steps, str(result), check)


def counting(draw: Draw) -> Problem:
    """Choosing a team, with or without order."""
    n, k = draw.whole(6, 20), draw.whole(2, 5)
    product = " × ".join(str(n - i) for i in range(k))
    ordered = math.perm(n, k)
    steps = [f"Choosing one after the other there are {product} = {ordered} ways."]
    if draw.chance(0.5):
        question = f"In how many ways can {k} different offices be given to {n} members of a club?"
        steps.append("The offices differ, so the order counts and nothing is divided out.")
        return Problem(question, steps, str(ordered), f"math.perm({n}, {k}) == {ordered}")
    chosen = math.comb(n, k)
    question = f"How many different teams of {k} can be formed from {n} players?"
    steps.append(f"The order in a team does not matter: divide by {k}! = {math.factorial(k)}.")
    steps.append(f"{ordered} ÷ {math.factorial(k)} = {chosen}.")
    return Problem(question, steps, str(chosen), f"math.comb({n}, {k}) == {chosen}")


ARITHMETIC: tuple[Maker, ...] = (
    addition,
    multiplication,
    division,
    fraction_sum,
    percentage,
    ratio,
    common_divisor,
    prime_factors,
    base_change,
    modular_power,
    mean_median,
    journey,
    interest,
    urn,
    counting,
)
