"""Small programs that fail, each with its repair. ``$names`` are filled from a vocabulary."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Failure:
    """A failing program, the exception it must raise, the repaired program, and why."""

    error: str
    broken: str
    fixed: str
    cause: str
    fix: str


# Words that stand for one another, so that the same mistake is met under many names.
_WORDS = {
    "things": "prices scores orders readings ages weights visits votes lengths ranks delays loads",
    "thing": "price score order reading age weight visit vote length rank delay",
    "key": "north south alpha beta tokyo oslo lima cairo spring autumn red blue",
    "other": "west gamma quito delhi winter green total basel omega delta",
    "word": "harbour lantern meadow copper violin glacier pepper saddle willow",
    "func": "summarise collect report combine inspect_all prepare measure convert",
    "cls": "Account Sensor Basket Ticket Player Route Parcel Meter Station",
    "attr": "balance level items owner points stops label value status",
}
VOCABULARY: dict[str, tuple[str, ...]] = {
    **{name: tuple(words.split()) for name, words in _WORDS.items()},
    "n": tuple(map(str, range(2, 9))),
    "m": tuple(map(str, range(11, 60))),
    "big": tuple(map(str, range(100, 990, 7))),
}

FAILURES = (
    Failure(
        "KeyError",
        '$things = {"$key": $m, "mid": $n}\nprint($things["$other"])',
        '$things = {"$key": $m, "mid": $n}\nprint($things.get("$other", 0))',
        'The dictionary has the keys "$key" and "mid"; "$other" was never stored in it, and square '
        "brackets insist on a key that is there.",
        "Use `.get` with a default when a key may be missing.",
    ),
    Failure(
        "IndexError",
        "$things = [$m, $big, $n]\nfor i in range(len($things) + 1):\n    print($things[i])",
        "$things = [$m, $big, $n]\nfor $thing in $things:\n    print($thing)",
        "A list of 3 has the positions 0, 1 and 2. The range runs one too far, so the last round "
        "asks for position 3.",
        "Loop over the list itself; then there is no index to get wrong.",
    ),
    Failure(
        "TypeError",
        '$thing = $m\nprint("$thing: " + $thing)',
        '$thing = $m\nprint(f"$thing: {$thing}")',
        "`+` joins two strings or adds two numbers. Here the left side is text and the right side "
        "is an integer, and Python does not guess which was meant.",
        "Format the number into the text with an f-string.",
    ),
    Failure(
        "ValueError",
        '$thing = int("$m.$n")\nprint($thing * 2)',
        '$thing = int(float("$m.$n"))\nprint($thing * 2)',
        "`int` reads whole numbers only, and the text has a decimal point in it.",
        "Read it as a float first and decide then how to round.",
    ),
    Failure(
        "ZeroDivisionError",
        "$things = []\naverage = sum($things) / len($things)\nprint(average)",
        "$things = []\naverage = sum($things) / len($things) if $things else None\nprint(average)",
        "The list is empty, so its length is 0, and the average divides by it.",
        "Decide what the average of nothing shall be; here it is None.",
    ),
    Failure(
        "AttributeError",
        "$things = ($m, $big)\n$things.append($n)\nprint($things)",
        "$things = [$m, $big]\n$things.append($n)\nprint($things)",
        "Round brackets made a tuple. Tuples cannot change, so they have no `append`.",
        "Use a list for a collection that grows.",
    ),
    Failure(
        "AttributeError",
        "$things = [$big, $m, $n]\n$things = $things.sort()\nprint($things.index($m))",
        "$things = [$big, $m, $n]\n$things.sort()\nprint($things.index($m))",
        "`list.sort` sorts in place and returns None. Assigning its result threw the list away.",
        "Call `sort` without assigning, or use `sorted`, which returns a new list.",
    ),
    Failure(
        "NameError",
        "def $func(values):\n    subtotal = sum(values)\n    return subtotal\n\n"
        "$func([$n, $m])\nprint(subtotal)",
        "def $func(values):\n    subtotal = sum(values)\n    return subtotal\n\n"
        "subtotal = $func([$n, $m])\nprint(subtotal)",
        "`subtotal` exists only inside `$func`, while it runs. Outside nothing has that name.",
        "Keep what the function returns.",
    ),
    Failure(
        "UnboundLocalError",
        "count = $n\n\ndef $func():\n    count += 1\n    return count\n\nprint($func())",
        "def $func(count):\n    return count + 1\n\nprint($func($n))",
        "An assignment anywhere in a function makes the name local to it, so `count += 1` reads a "
        "local variable that has no value yet.",
        "Pass the value in and return the new one instead of changing a global.",
    ),
    Failure(
        "TypeError",
        "def $func(first, second):\n    return first * second\n\nprint($func($m))",
        "def $func(first, second=1):\n    return first * second\n\nprint($func($m))",
        "`$func` takes two arguments and was given one.",
        "Pass both, or give the second a default where one makes sense.",
    ),
    Failure(
        "TypeError",
        "class $cls:\n    def $attr():\n        return $m\n\nprint($cls().$attr())",
        "class $cls:\n    def $attr(self):\n        return $m\n\nprint($cls().$attr())",
        "Calling a method passes the object as the first argument, but `$attr` takes none.",
        "Add `self` as the first parameter.",
    ),
    Failure(
        "AttributeError",
        "class $cls:\n    def __init__(self, $attr):\n        $attr = $attr\n\n"
        "print($cls($m).$attr)",
        "class $cls:\n    def __init__(self, $attr):\n        self.$attr = $attr\n\n"
        "print($cls($m).$attr)",
        "`$attr = $attr` assigns a local name to itself. Nothing is stored on the object.",
        "Assign to `self.$attr`.",
    ),
    Failure(
        "RuntimeError",
        '$things = {"$key": $n, "$other": $m}\nfor name in $things:\n    if $things[name] < 10:\n'
        "        del $things[name]\nprint($things)",
        '$things = {"$key": $n, "$other": $m}\n'
        "$things = {name: $thing for name, $thing in $things.items() if $thing >= 10}\n"
        "print($things)",
        "The loop walks over the dictionary while its body deletes from it, which would make the "
        "walk unreliable, so Python stops.",
        "Build a new dictionary of what stays.",
    ),
    Failure(
        "TypeError",
        '$things = {"$key": $n}\n$things[["$other", $m]] = $big\nprint($things)',
        '$things = {"$key": $n}\n$things[("$other", $m)] = $big\nprint(len($things))',
        "Dictionary keys must be hashable, that is unchangeable. A list is not.",
        "Use a tuple as the compound key.",
    ),
    Failure(
        "ValueError",
        'name, $thing = "$word $n $m".split()\nprint(name, $thing)',
        'name, *rest = "$word $n $m".split()\nprint(name, rest)',
        "The split gives three parts, but only two names wait on the left.",
        "Take the remaining parts with a starred name, or split at most once.",
    ),
    Failure(
        "JSONDecodeError",
        "import json\n\nprint(json.loads(\"{'$key': $m}\"))",
        "import json\n\nprint(json.loads('{\"$key\": $m}'))",
        "JSON knows double quotes only; the text uses single quotes, as Python's own `repr` does.",
        "Write (or better, produce with `json.dumps`) real JSON.",
    ),
    Failure(
        "UnicodeDecodeError",
        'data = "caf\\u00e9 $word".encode("latin-1")\nprint(data.decode("utf-8"))',
        'data = "caf\\u00e9 $word".encode("latin-1")\nprint(data.decode("latin-1"))',
        "The bytes were written as Latin-1, where é is the single byte 0xe9. In UTF-8 that byte "
        "announces a longer sequence, which does not follow.",
        "Decode with the encoding that the bytes were written in.",
    ),
    Failure(
        "StopIteration",
        "$things = iter([$m])\nnext($things)\nprint(next($things))",
        '$things = iter([$m])\nnext($things)\nprint(next($things, "no more"))',
        "The iterator held one element and the first `next` took it.",
        "Give `next` a default for the end.",
    ),
    Failure(
        "RecursionError",
        "class $cls:\n    @property\n    def $attr(self):\n        return self.$attr\n\n"
        "try:\n    $cls().$attr\nexcept RecursionError:\n"
        '    raise RecursionError("$attr calls itself") from None',
        "class $cls:\n    def __init__(self):\n        self._$attr = $m\n\n    @property\n"
        "    def $attr(self):\n        return self._$attr\n\nprint($cls().$attr)",
        "The property reads `self.$attr`, which is the property again, without end.",
        "Store the value under another name, by custom with a leading underscore.",
    ),
    Failure(
        "TypeError",
        'print(sorted([$m, "$n", $big]))',
        'print(sorted([$m, "$n", $big], key=int))',
        "Sorting compares elements, and a string has no order relative to a number.",
        "Sort by a key that makes them comparable.",
    ),
    Failure(
        "TypeError",
        "$things = [$n, None, $m]\nprint(sum($things))",
        "$things = [$n, None, $m]\nprint(sum($thing for $thing in $things if $thing is not None))",
        "`sum` adds the elements one by one and meets None, which cannot be added to a number.",
        "Leave missing values out explicitly.",
    ),
    Failure(
        "ValueError",
        '$things = ["$key", "$word"]\n$things.remove("$other")\nprint($things)',
        '$things = ["$key", "$word"]\nif "$other" in $things:\n    $things.remove("$other")\n'
        "print($things)",
        '`remove` insists that the element is there, and "$other" is not in the list.',
        "Test for membership first, or use a set and `discard`.",
    ),
    Failure(
        "AssertionError",
        "def $func(parts):\n    whole = sum(parts)\n    assert whole == 100, f'sum is {whole}'\n"
        "    return whole\n\nprint($func([$m, $n]))",
        "def $func(parts):\n    whole = sum(parts)\n"
        "    return [100 * part / whole for part in parts]\n\nprint(sum($func([$m, $n])))",
        "The function assumes percentages, but it was called with plain amounts.",
        "Turn the amounts into percentages instead of assuming that they are.",
    ),
    Failure(
        "ModuleNotFoundError",
        "import ${word}_tools\n\nprint(${word}_tools.$func($n))",
        "def $func(value):\n    return value * $m\n\nprint($func($n))",
        "No module of that name is installed or lies beside the program.",
        "Install the module, correct its name, or define the function where it is needed.",
    ),
    Failure(
        "ImportError",
        "from statistics import average\n\nprint(average([$n, $m, $big]))",
        "from statistics import mean\n\nprint(mean([$n, $m, $big]))",
        "The module exists, but it has no `average`; the function is called `mean`.",
        "Import the name that the module really defines.",
    ),
    Failure(
        "OverflowError",
        "import math\n\nprint(math.exp($big + 700))",
        "import math\n\nprint(f'10 to the {($big + 700) / math.log(10):.1f}')",
        "The result is larger than a float can hold (about 1.8e308).",
        "Work with the logarithm, which stays small.",
    ),
    Failure(
        "ValueError",
        "import math\n\n$thing = $n - $m\nprint(math.sqrt($thing))",
        "import math\n\n$thing = $n - $m\nprint(math.sqrt(abs($thing)))",
        "The difference is negative, and real square roots of negative numbers do not exist.",
        "Take the distance, if its sign does not matter; otherwise use `cmath`.",
    ),
    Failure(
        "TypeError",
        "$things = $m\nfor $thing in $things:\n    print($thing)",
        "$things = $n\nfor $thing in range($things):\n    print($thing)",
        "An integer is not a collection, so there is nothing to loop over.",
        "Loop over `range(...)` to count.",
    ),
    Failure(
        "FrozenInstanceError",
        "from dataclasses import dataclass\n\n@dataclass(frozen=True)\nclass $cls:\n"
        "    $attr: int\n\nitem = $cls($m)\nitem.$attr = $n\nprint(item)",
        "from dataclasses import dataclass, replace\n\n@dataclass(frozen=True)\nclass $cls:\n"
        "    $attr: int\n\nitem = replace($cls($m), $attr=$n)\nprint(item)",
        "`frozen=True` forbids assigning to fields after the object was made.",
        "Make a changed copy with `dataclasses.replace`.",
    ),
    Failure(
        "TypeError",
        "from datetime import date\n\nprint(date(2024, 3, $n) + $m)",
        "from datetime import date, timedelta\n\nprint(date(2024, 3, $n) + timedelta(days=$m))",
        "A plain number does not say whether days or hours are meant, so dates do not add it.",
        "Add a `timedelta`.",
    ),
    Failure(
        "ValueError",
        "from datetime import datetime\n\nprint(datetime.strptime('2024/0$n/12', '%Y-%m-%d'))",
        "from datetime import datetime\n\nprint(datetime.strptime('2024/0$n/12', '%Y/%m/%d'))",
        "The pattern expects dashes between the parts; the text has slashes.",
        "Make the pattern look like the text.",
    ),
    Failure(
        "TypeError",
        "class $cls:\n    def __init__(self, $attr):\n        self.$attr = $attr\n\n"
        "print(max([$cls($m), $cls($big)]).$attr)",
        "class $cls:\n    def __init__(self, $attr):\n        self.$attr = $attr\n\n"
        "print(max([$cls($m), $cls($big)], key=lambda item: item.$attr).$attr)",
        "`max` compares the objects, and the class does not say how that is done.",
        "Tell `max` what to compare with a key function.",
    ),
)
