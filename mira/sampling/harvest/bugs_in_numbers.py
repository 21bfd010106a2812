"""Functions of numbers, dates and vectors, with bugs to plant."""

from __future__ import annotations

from mira.sampling.harvest.bugs import Buggy, function

NUMBER_FUNCTIONS: tuple[Buggy, ...] = (
    function(
        "median",
        '''
def median($values):
    """The middle of the sorted $values.

    >>> median([5, 1, 3])
    3
    >>> median([4, 1, 3, 2])
    2.5
    """
    ordered = sorted($values)
    middle = len(ordered) // 2
    if len(ordered) % 2 == 1:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2
''',
        ("sorted($values)", "list($values)", "The median needs the values in order."),
        ("% 2 == 1", "% 2 == 0", "Odd lengths have one middle value, even lengths two."),
        ("[middle - 1] +", "[middle + 1] +", "The two middle values are at middle - 1 and middle."),
        (") / 2", ") // 2", "Floor division loses the half."),
    ),
    function(
        "running_total",
        '''
def running_total($values):
    """Sums of all beginnings of $values.

    >>> running_total([1, 2, 3])
    [1, 3, 6]
    >>> running_total([])
    []
    """
    total = 0
    $result = []
    for $item in $values:
        total += $item
        $result.append(total)
    return $result
''',
        ("total += $item", "total = $item", "The sum must grow, not be replaced."),
        ("total = 0", "total = 1", "A sum starts at 0."),
        ("append(total)", "append($item)", "The total belongs in the list, not the value."),
    ),
    function(
        "clamp",
        '''
def clamp($item, low, high):
    """The nearest number to $item that lies in the interval.

    >>> clamp(5, 0, 10)
    5
    >>> clamp(-3, 0, 10)
    0
    >>> clamp(12, 0, 10)
    10
    """
    return max(low, min($item, high))
''',
        ("max(low, min($item, high))", "min(low, max($item, high))", "max and min are swapped."),
        ("min($item, high)", "min($item, low)", "The upper bound is high."),
        ("max(low, min($item, high))", "max(low, $item)", "The upper bound was left out."),
    ),
    function(
        "gcd",
        '''
def gcd(a, b):
    """Greatest common divisor by Euclid.

    >>> gcd(48, 36)
    12
    >>> gcd(7, 5)
    1
    """
    while b:
        a, b = b, a % b
    return a
''',
        ("a % b", "a // b", "Euclid goes on with the remainder."),
        ("return a", "return b", "b is 0 at the end; the divisor is in a."),
        ("while b:", "if b:", "One step is not enough."),
    ),
    function(
        "is_prime",
        '''
def is_prime($count):
    """Whether a number has exactly two divisors.

    >>> [k for k in range(30) if is_prime(k)]
    [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]
    """
    if $count < 2:
        return False
    divisor = 2
    while divisor * divisor <= $count:
        if $count % divisor == 0:
            return False
        divisor += 1
    return True
''',
        ("< 2:", "< 1:", "1 is not prime."),
        ("divisor <= $count", "divisor < $count", "Squares of primes need the equals sign."),
        ("divisor = 2", "divisor = 3", "Even numbers must be tested, too."),
        ("divisor += 1", "divisor += 2", "From 2 in steps of 2 only even divisors are tried."),
    ),
    function(
        "binary_search",
        '''
def binary_search($values, target):
    """Position of target in sorted $values, or -1.

    >>> binary_search([1, 3, 5, 7], 7)
    3
    >>> binary_search([1, 3, 5, 7], 1)
    0
    >>> binary_search([1, 3, 5, 7], 4)
    -1
    """
    low, high = 0, len($values) - 1
    while low <= high:
        middle = (low + high) // 2
        if $values[middle] == target:
            return middle
        if $values[middle] < target:
            low = middle + 1
        else:
            high = middle - 1
    return -1
''',
        ("low <= high", "low < high", "With one candidate left the search is not over."),
        ("return -1", "return None", "The docstring promises -1."),
        ("[middle] < target", "[middle] > target", "Larger targets lie to the right."),
        ("low, high = 0", "low, high = 1", "The first position is 0."),
    ),
    function(
        "to_roman",
        '''
def to_roman($count):
    """A number in Roman digits.

    >>> to_roman(14)
    'XIV'
    >>> to_roman(1999)
    'MCMXCIX'
    """
    digits = [(1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"),
              (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I")]
    $result = ""
    for worth, sign in digits:
        times, $count = divmod($count, worth)
        $result += sign * times
    return $result
''',
        (' (9, "IX"),', "", "9 is written IX, not VIIII."),
        ("times, $count = divmod", "$count, times = divmod", "divmod gives the quotient first."),
        ("$result += sign", "$result = sign", "The digits are collected one after the other."),
        ('(90, "XC")', '(90, "CX")', "The smaller digit goes before the larger to subtract."),
    ),
    function(
        "mean_by_key",
        '''
def mean_by_key(pairs):
    """Mean of the numbers under each key.

    >>> mean_by_key([("a", 1), ("b", 10), ("a", 3)])
    {'a': 2.0, 'b': 10.0}
    """
    groups = {}
    for key, $item in pairs:
        groups.setdefault(key, []).append($item)
    return {key: sum(group) / len(group) for key, group in groups.items()}
''',
        ("/ len(group)", "/ len(groups)", "Divide by the size of the group, not by their number."),
        ("sum(group)", "max(group)", "A mean is made from the sum."),
        (".setdefault(key, [])", ".get(key, [])", "get does not store the new list."),
    ),
    function(
        "leap_year",
        '''
def leap_year(year):
    """Whether a year has 366 days.

    >>> [y for y in (1900, 2000, 2023, 2024) if leap_year(y)]
    [2000, 2024]
    """
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
''',
        (" and (year % 100 != 0 or year % 400 == 0)", "", "Full centuries are an exception."),
        ("% 400 == 0", "% 400 != 0", "Years divisible by 400 are leap years again."),
        ("!= 0 or", "!= 0 and", "Either condition suffices."),
    ),
    function(
        "moving_average",
        '''
def moving_average($values, width):
    """Means of every window of the width.

    >>> moving_average([1, 2, 3, 4], 2)
    [1.5, 2.5, 3.5]
    >>> moving_average([1, 2], 3)
    []
    """
    last = len($values) - width + 1
    return [sum($values[i : i + width]) / width for i in range(last)]
''',
        ("- width + 1", "- width", "The last window was left out."),
        ("i : i + width", "i : width", "The window must move with i."),
        ("/ width for", "/ len($values) for", "Divide by the number of values in a window."),
    ),
    function(
        "digits_sum",
        '''
def digits_sum($count):
    """The sum of the decimal digits.

    >>> digits_sum(1984)
    22
    >>> digits_sum(-35)
    8
    """
    return sum(int(digit) for digit in str(abs($count)))
''',
        ("abs($count)", "$count", "A minus sign is not a digit."),
        ("int(digit)", "ord(digit)", "ord gives the code of the character, not its value."),
        ("return sum(", "return max(", "All digits count."),
    ),
    function(
        "hours_text",
        '''
def hours_text(minutes):
    """Minutes as hours and minutes.

    >>> hours_text(125)
    '2:05'
    >>> hours_text(59)
    '0:59'
    """
    return f"{minutes // 60}:{minutes % 60:02d}"
''',
        (":02d", "", "Minutes below 10 need a leading zero."),
        ("// 60", "/ 60", "Hours are whole."),
        ("% 60", "% 100", "An hour has 60 minutes."),
    ),
    function(
        "fizz",
        '''
def fizz($count):
    """The fizz buzz sequence up to $count.

    >>> fizz(5)
    ['1', '2', 'fizz', '4', 'buzz']
    >>> fizz(15)[-1]
    'fizzbuzz'
    """
    $result = []
    for i in range(1, $count + 1):
        word = "fizz" * (i % 3 == 0) + "buzz" * (i % 5 == 0)
        $result.append(word or str(i))
    return $result
''',
        ("$count + 1", "$count", "The end of a range is exclusive."),
        ("word or str(i)", "word or i", "Numbers are promised as text."),
        ("i % 5", "i % 4", "buzz is for multiples of 5."),
        ("range(1, ", "range(0, ", "Counting starts at 1."),
    ),
    function(
        "dot",
        '''
def dot(a, b):
    """Scalar product of two vectors of equal length.

    >>> dot([1, 2, 3], [4, 5, 6])
    32
    >>> dot([1], [1, 2])
    Traceback (most recent call last):
    ...
    ValueError: lengths differ: 1 and 2
    """
    if len(a) != len(b):
        raise ValueError(f"lengths differ: {len(a)} and {len(b)}")
    return sum(x * y for x, y in zip(a, b))
''',
        ("x * y", "x + y", "The products are summed."),
        ("raise ValueError", "raise TypeError", "A wrong length is a ValueError."),
        ("len(a) != len(b)", "len(a) > len(b)", "A shorter first vector is wrong as well."),
    ),
)
