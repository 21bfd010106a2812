"""Problems of school algebra, each solved step by step by its function."""

from __future__ import annotations

import math
from fractions import Fraction

from mira.sampling.harvest.draw import Draw
from mira.sampling.harvest.problems import Maker, Problem


def linear(draw: Draw) -> Problem:
    """A linear equation with the unknown on both sides."""
    x, a, c = draw.whole(-12, 15), draw.whole(2, 12), draw.whole(-9, 9)
    a += a == c
    b = draw.whole(-30, 30)
    d = a * x + b - c * x
    left, right = polynomial([a, b]), polynomial([c, d])
    steps = [
        f"Bring the x terms to one side: {polynomial([a - c, 0])} = {d - b}"
        f" (subtract {polynomial([c, 0])} and {b}).",
        f"Divide by {a - c}: x = {d - b}/{a - c} = {x}.",
        f"Test: {a}·({x}) + ({b}) = {a * x + b} and {c}·({x}) + ({d}) = {c * x + d}.",
    ]
    question = draw.pick((f"Solve {left} = {right} for x.", f"For which x is {left} = {right}?"))
    check = f"{a} * {x} + {b} == {c} * {x} + {d}"
    return Problem(question, steps, f"x = {x}", check)


def brackets(draw: Draw) -> Problem:
    """An equation with a bracket to expand first."""
    x, a, b, c = draw.whole(-9, 12), draw.whole(2, 9), draw.whole(1, 12), draw.whole(-20, 20)
    total = a * (x + b) + c
    steps = [
        f"Expand: {a}x + {a * b} + ({c}) = {total}.",
        f"Collect constants: {a}x + ({a * b + c}) = {total}.",
        f"Subtract: {a}x = {total - a * b - c}.",
        f"Divide by {a}: x = {x}.",
    ]
    question = f"Solve {a}(x + {b}) + ({c}) = {total}."
    return Problem(question, steps, f"x = {x}", f"{a} * ({x} + {b}) + {c} == {total}")


def simultaneous(draw: Draw) -> Problem:
    """Two equations in two unknowns, by elimination."""
    x, y = draw.whole(-9, 9), draw.whole(-9, 9)
    a, b, c, d = (draw.whole(1, 9) for _ in range(4))
    d += a * d == b * c
    e, f, det = a * x + b * y, c * x + d * y, a * d - b * c
    steps = [
        f"Multiply (1) by {d} and (2) by {b}: {a * d}x + {b * d}y = {e * d} and "
        f"{b * c}x + {b * d}y = {f * b}.",
        f"Subtract: {det}x = {e * d - f * b}, so x = {x}.",
        f"Put x into (1): {a}·({x}) + {b}y = {e}, so {b}y = {e - a * x} and y = {y}.",
        f"Test in (2): {c}·({x}) + {d}·({y}) = {f}.",
    ]
    question = f"Solve the system (1) {a}x + {b}y = {e}, (2) {c}x + {d}y = {f}."
    check = f"{a} * {x} + {b} * {y} == {e} and {c} * {x} + {d} * {y} == {f} and {det} != 0"
    return Problem(question, steps, f"x = {x}, y = {y}", check)


def quadratic(draw: Draw) -> Problem:
    """A quadratic equation with whole roots, by factoring or by the formula."""
    p, q, a = draw.whole(-12, 12), draw.whole(-12, 12), draw.whole(1, 3)
    b, c = -a * (p + q), a * p * q
    shown = polynomial([a, b, c])
    low, high = sorted((p, q))
    roots = f"x = {low} (double root)" if p == q else f"x = {low} or x = {high}"
    if draw.chance(0.5):
        steps = [f"Divide by {a}: {polynomial([1, -(p + q), p * q])} = 0."] if a > 1 else []
        steps += [
            f"Look for two numbers with sum {p + q} and product {p * q}: {p} and {q}.",
            f"So it factors as (x − ({p}))(x − ({q})) = 0.",
        ]
    else:
        disc = b * b - 4 * a * c
        steps = [
            f"With a = {a}, b = {b}, c = {c} the discriminant is b² − 4ac = {b * b} − ({4 * a * c})"
            f" = {disc}.",
            f"Its square root is {math.isqrt(disc)}.",
            f"x = (−({b}) ± {math.isqrt(disc)}) / {2 * a}.",
        ]
    check = f"all({a} * x * x + {b} * x + {c} == 0 for x in ({p}, {q}))"
    return Problem(f"Solve {shown} = 0.", [*steps, f"Hence {roots}."], roots, check)


def series(draw: Draw) -> Problem:
    """The sum of an arithmetic or a geometric series."""
    first, n = draw.whole(1, 20), draw.whole(5, 40)
    if draw.chance(0.5):
        step = draw.whole(2, 11)
        last = first + (n - 1) * step
        total = n * (first + last) // 2
        steps = [
            f"The last term is {first} + {n - 1}·{step} = {last}.",
            f"Sum = n·(first + last)/2 = {n}·({first} + {last})/2 = {total}.",
        ]
        question = f"Sum the first {n} terms of {first}, {first + step}, {first + 2 * step}, ..."
        check = f"sum({first} + i * {step} for i in range({n})) == {total}"
        return Problem(question, steps, str(total), check)
    n, factor = draw.whole(4, 9), draw.whole(2, 5)
    total = first * (factor**n - 1) // (factor - 1)
    steps = [
        f"This is geometric with first term {first} and ratio {factor}.",
        f"{factor}^{n} = {factor**n}.",
        f"Sum = {first}·({factor**n} − 1)/({factor} − 1) = {total}.",
    ]
    question = f"Sum the first {n} terms of {first}, {first * factor}, {first * factor**2}, ..."
    check = f"sum({first} * {factor} ** i for i in range({n})) == {total}"
    return Problem(question, steps, str(total), check)


def expansion(draw: Draw) -> Problem:
    """The product of two polynomials."""
    left = [draw.whole(1, 6), draw.whole(-9, 9)]
    right = [draw.whole(1, 5), draw.whole(-9, 9), draw.whole(-9, 9)][draw.whole(0, 1) :]
    right[0] = right[0] or 1
    product = [0] * (len(left) + len(right) - 1)
    steps = []
    for i, a in enumerate(left):
        row = [a * b for b in right] + [0] * (len(left) - 1 - i)
        factor = polynomial([a] + [0] * (len(left) - 1 - i))
        steps.append(f"({factor})·({polynomial(right)}) = {polynomial(row)}")
        for j, b in enumerate(right):
            product[i + j] += a * b
    result = polynomial(product)
    steps.append(f"Add terms of equal degree: {result}.")
    question = f"Expand ({polynomial(left)})({polynomial(right)})."
    value = "lambda c, x: sum(k * x ** i for i, k in enumerate(reversed(c)))"
    check = (
        f"all(({value})({left}, x) * ({value})({right}, x) == ({value})({product}, x) "
        f"for x in range(-5, 6))"
    )
    return Problem(question, steps, result, check)


def horner(draw: Draw) -> Problem:
    """The value of a polynomial by Horner's scheme."""
    coefficients = [draw.whole(1, 6), *(draw.whole(-9, 9) for _ in range(draw.whole(2, 4)))]
    x = draw.whole(-5, 6)
    value, steps = coefficients[0], [f"Start with the leading coefficient {coefficients[0]}."]
    for c in coefficients[1:]:
        steps.append(f"{value}·({x}) + ({c}) = {value * x + c}")
        value = value * x + c
    question = f"Evaluate p(x) = {polynomial(coefficients)} at x = {x} with Horner's scheme."
    check = f"sum(c * ({x}) ** i for i, c in enumerate(reversed({coefficients}))) == {value}"
    return Problem(question, steps, f"p({x}) = {value}", check)


def derivative(draw: Draw) -> Problem:
    """The derivative of a polynomial, and its value at a point."""
    coefficients = [draw.whole(1, 7), *(draw.whole(-9, 9) for _ in range(draw.whole(2, 3)))]
    degree, x = len(coefficients) - 1, draw.whole(-4, 5)
    slope = [c * (degree - i) for i, c in enumerate(coefficients[:-1])]
    value = sum(c * x ** (degree - 1 - i) for i, c in enumerate(slope))
    steps = [
        f"{polynomial([c] + [0] * (degree - i))} becomes "
        f"{polynomial([c * (degree - i)] + [0] * (degree - i - 1))}."
        for i, c in enumerate(coefficients[:-1])
        if c
    ]
    steps.append(f"The constant {coefficients[-1]} vanishes.")
    steps.append(f"p'(x) = {polynomial(slope)}, and p'({x}) = {value}.")
    question = f"Differentiate p(x) = {polynomial(coefficients)} and find the slope at x = {x}."
    ahead = f"sum(c * ({x} + h) ** i for i, c in enumerate(reversed({coefficients})))"
    check = f"abs((lambda h: {ahead})(Fraction(1, 10**9)) - (lambda h: {ahead})(0) - "
    check += f"Fraction({value}, 10**9)) < Fraction(1, 10**12)"
    return Problem(question, steps, f"p'(x) = {polynomial(slope)}; p'({x}) = {value}", check)


def determinant(draw: Draw) -> Problem:
    """The determinant of a 3 by 3 matrix along its first row."""
    (a, b, c), (d, e, f), (g, h, i) = ([draw.whole(-6, 9) for _ in range(3)] for _ in range(3))
    minors = [e * i - f * h, d * i - f * g, d * h - e * g]
    total = a * minors[0] - b * minors[1] + c * minors[2]
    steps = [
        f"Minor of {a}: {e}·({i}) − ({f})·({h}) = {minors[0]}.",
        f"Minor of {b}: {d}·({i}) − ({f})·({g}) = {minors[1]}.",
        f"Minor of {c}: {d}·({h}) − ({e})·({g}) = {minors[2]}.",
        f"det = {a}·({minors[0]}) − ({b})·({minors[1]}) + ({c})·({minors[2]}) = {total}.",
    ]
    rows = f"[{a} {b} {c}; {d} {e} {f}; {g} {h} {i}]"
    check = f"{a}*{e}*{i} + {b}*{f}*{g} + {c}*{d}*{h} - {c}*{e}*{g} - {b}*{d}*{i} - {a}*{f}*{h}"
    question = f"Compute the determinant of the matrix {rows}."
    return Problem(question, steps, str(total), f"{check} == {total}")


def line_through(draw: Draw) -> Problem:
    """The straight line through two points."""
    x1, y1, y2 = draw.whole(-8, 8), draw.whole(-12, 12), draw.whole(-12, 12)
    x2 = x1 + draw.whole(1, 9)
    slope = Fraction(y2 - y1, x2 - x1)
    offset = y1 - slope * x1
    steps = [
        f"Slope: ({y2} − ({y1})) / ({x2} − ({x1})) = {y2 - y1}/{x2 - x1} = {slope}.",
        f"Intercept: {y1} − ({slope})·({x1}) = {offset}.",
        f"Test with the second point: ({slope})·({x2}) + ({offset}) = {y2}.",
    ]
    question = f"Find the line y = mx + c through ({x1}, {y1}) and ({x2}, {y2})."
    m = f"Fraction({slope.numerator}, {slope.denominator})"
    c = f"Fraction({offset.numerator}, {offset.denominator})"
    check = f"all({m} * x + {c} == y for x, y in (({x1}, {y1}), ({x2}, {y2})))"
    return Problem(question, steps, f"y = ({slope})x + ({offset})", check)


def polynomial(coefficients: list[int]) -> str:
    """A polynomial in x as people write it, highest power first."""
    degree = len(coefficients) - 1
    shown = ""
    for i, c in enumerate(coefficients):
        if c == 0:
            continue
        power = degree - i
        letter = "" if power == 0 else "x" if power == 1 else f"x^{power}"
        size = str(abs(c)) if abs(c) != 1 or not letter else ""
        sign = (" − " if c < 0 else " + ") if shown else ("−" if c < 0 else "")
        shown += f"{sign}{size}{letter}"
    return shown or "0"


ALGEBRA: tuple[Maker, ...] = (
    linear,
    brackets,
    simultaneous,
    quadratic,
    series,
    expansion,
    horner,
    derivative,
    determinant,
    line_through,
)
