"""Functions of text and collections, with bugs to plant."""

from __future__ import annotations

from mira.sampling.harvest.bugs import Buggy, function

TEXT_FUNCTIONS: tuple[Buggy, ...] = (
    function(
        "is_palindrome",
        '''
def is_palindrome($text):
    """Whether letters read the same both ways, case and punctuation aside.

    >>> is_palindrome("Never odd or even")
    True
    >>> is_palindrome("Python")
    False
    >>> is_palindrome("Madam, I'm Adam")
    True
    """
    letters = [c.lower() for c in $text if c.isalpha()]
    return letters == letters[::-1]
''',
        ("c.lower() for", "c for", "Capital letters must compare equal to small ones."),
        (" if c.isalpha()", "", "Spaces and punctuation do not count."),
        ("letters[::-1]", "letters[::1]", "A step of -1 reverses; a step of 1 only copies."),
    ),
    function(
        "chunks",
        '''
def chunks($values, $count):
    """Cut a list into parts of $count elements; the last may be shorter.

    >>> chunks([1, 2, 3, 4, 5], 2)
    [[1, 2], [3, 4], [5]]
    >>> chunks([1, 2], 4)
    [[1, 2]]
    """
    return [$values[i : i + $count] for i in range(0, len($values), $count)]
''',
        ("i + $count]", "i + $count - 1]", "The end of a slice is exclusive already."),
        (", len($values), $count)", ", len($values))", "The start must advance by a whole part."),
        ("len($values), ", "len($values) - 1, ", "The last, shorter part must not be lost."),
    ),
    function(
        "count_words",
        '''
def count_words($text):
    """How often each word occurs, in small letters.

    >>> count_words("The cat and the dog")
    {'the': 2, 'cat': 1, 'and': 1, 'dog': 1}
    """
    $result = {}
    for word in $text.lower().split():
        $result[word] = $result.get(word, 0) + 1
    return $result
''',
        (".lower()", "", "Words that differ in case only are one word."),
        ("(word, 0)", "(word, 1)", "A word not seen before has the count 0."),
        (".split()", "", "Without split the loop walks over letters."),
    ),
    function(
        "flatten",
        '''
def flatten($values):
    """All elements of nested lists in one list.

    >>> flatten([1, [2, [3, 4]], 5])
    [1, 2, 3, 4, 5]
    >>> flatten([[], [1]])
    [1]
    """
    $result = []
    for $item in $values:
        if isinstance($item, list):
            $result.extend(flatten($item))
        else:
            $result.append($item)
    return $result
''',
        ("extend(flatten", "append(flatten", "append would nest the inner list again."),
        ("flatten($item))", "$item)", "Inner lists may hold lists themselves."),
        ("($item, list)", "($item, tuple)", "The nested parts are lists."),
    ),
    function(
        "caesar",
        '''
def caesar($text, shift):
    """Shift small letters in the alphabet, round its end.

    >>> caesar("xyz abc", 3)
    'abc def'
    >>> caesar("def", -3)
    'abc'
    """
    $result = ""
    for c in $text:
        if "a" <= c <= "z":
            c = chr((ord(c) - ord("a") + shift) % 26 + ord("a"))
        $result += c
    return $result
''',
        (" % 26", "", "Past z it must go on at a."),
        ("% 26", "% 25", "The alphabet has 26 letters."),
        ("+ shift", "- shift", "A positive shift goes forward."),
        ('<= c <= "z"', '<= c < "z"', "z is a letter as well."),
    ),
    function(
        "transpose",
        '''
def transpose(rows):
    """Rows become columns.

    >>> transpose([[1, 2, 3], [4, 5, 6]])
    [[1, 4], [2, 5], [3, 6]]
    >>> transpose([])
    []
    """
    return [list(column) for column in zip(*rows)]
''',
        ("zip(*rows)", "zip(rows)", "The rows must be unpacked into separate arguments."),
        ("list(column)", "column", "zip gives tuples; lists are promised."),
        ("in zip(*rows)", "in rows", "Copying the rows does not turn them."),
    ),
    function(
        "unique",
        '''
def unique($values):
    """The different elements in order of first appearance.

    >>> unique([3, 1, 3, 2, 1])
    [3, 1, 2]
    """
    seen = set()
    $result = []
    for $item in $values:
        if $item not in seen:
            seen.add($item)
            $result.append($item)
    return $result
''',
        ("not in seen", "in seen", "Only unseen elements are new."),
        ("            seen.add($item)\n", "", "What was seen must be remembered."),
        ("return $result", "return sorted($result)", "The order of appearance must stay."),
    ),
    function(
        "title_case",
        '''
def title_case($text):
    """Capitalise words except the small ones, but always the first.

    >>> title_case("the lord of the rings")
    'The Lord of the Rings'
    >>> title_case("in the end")
    'In the End'
    """
    small = {"of", "the", "and", "in"}
    words = $text.lower().split()
    $result = [w if w in small and i > 0 else w.capitalize() for i, w in enumerate(words)]
    return " ".join($result)
''',
        (" and i > 0", "", "The first word is always capitalised."),
        ("i > 0", "i > 1", "Only position 0 is the first word."),
        ('" ".join', '"".join', "Words are joined with a space."),
        ("w.capitalize()", "w.upper()", "Only the first letter is to be large."),
    ),
    function(
        "compress",
        '''
def compress($text):
    """Runs of equal letters as letter and length.

    >>> compress("aaabcc")
    'a3b1c2'
    >>> compress("")
    ''
    """
    $result = ""
    i = 0
    while i < len($text):
        j = i + 1
        while j < len($text) and $text[j] == $text[i]:
            j += 1
        $result += $text[i] + str(j - i)
        i = j
    return $result
''',
        ("str(j - i)", "str(j)", "The run starts at i, so its length is j - i."),
        ("str(j - i)", "str(j - i + 1)", "j is already one past the run."),
        ("$result += $text[i]", "$result = $text[i]", "Earlier runs must be kept."),
    ),
    function(
        "parse_pairs",
        '''
def parse_pairs($text):
    """Read ``name=number`` parts separated by semicolons.

    >>> parse_pairs("a=1; b=22;")
    {'a': 1, 'b': 22}
    """
    $result = {}
    for part in $text.split(";"):
        if part.strip():
            name, _, number = part.partition("=")
            $result[name.strip()] = int(number)
    return $result
''',
        ("= int(number)", "= number", "The values are promised as numbers."),
        ("[name.strip()]", "[name]", "Blanks around the name do not belong to it."),
        ('split(";")', 'split(",")', "The separator is a semicolon."),
    ),
    function(
        "merge_sorted",
        '''
def merge_sorted(left, right):
    """Two sorted lists as one.

    >>> merge_sorted([1, 4, 9], [2, 3, 10])
    [1, 2, 3, 4, 9, 10]
    >>> merge_sorted([], [5])
    [5]
    """
    $result = []
    i = j = 0
    while i < len(left) and j < len(right):
        if left[i] <= right[j]:
            $result.append(left[i])
            i += 1
        else:
            $result.append(right[j])
            j += 1
    return $result + left[i:] + right[j:]
''',
        (" + left[i:] + right[j:]", "", "What is left over in either list must follow."),
        ("left[i] <= right[j]", "left[i] >= right[j]", "The smaller element comes first."),
        ("+ right[j:]", "+ right[j + 1 :]", "Element j was not used yet."),
    ),
    function(
        "top",
        '''
def top(scores, $count):
    """Names of the highest scores, best first.

    >>> top({"ann": 3, "bob": 9, "cy": 5}, 2)
    ['bob', 'cy']
    """
    ordered = sorted(scores, key=scores.get, reverse=True)
    return ordered[:$count]
''',
        (", reverse=True", "", "Sorting is ascending unless reversed."),
        ("key=scores.get, ", "", "Without a key the names are sorted, not the scores."),
        ("[:$count]", "[: $count + 1]", "The end of a slice is exclusive."),
    ),
    function(
        "common_prefix",
        '''
def common_prefix(words):
    """The longest beginning that all words share.

    >>> common_prefix(["flower", "flow", "flight"])
    'fl'
    >>> common_prefix(["ripe", "rope"])
    'r'
    >>> common_prefix(["dog", "cat"])
    ''
    """
    $result = ""
    for letters in zip(*words):
        if len(set(letters)) > 1:
            break
        $result += letters[0]
    return $result
''',
        ("> 1:", "> 2:", "Two different letters already end the prefix."),
        ("            break\n", "            continue\n", "After a difference nothing may follow."),
        ("letters[0]", "letters[0].upper()", "The letters stay as they are."),
    ),
    function(
        "invert",
        '''
def invert(table):
    """Values to sorted lists of their keys.

    >>> invert({"b": 1, "c": 2, "a": 1})
    {1: ['a', 'b'], 2: ['c']}
    """
    $result = {}
    for key in sorted(table):
        $result.setdefault(table[key], []).append(key)
    return $result
''',
        ("in sorted(table)", "in table", "The keys are promised in order."),
        (".append(key)", ".append(table[key])", "The keys are collected, not the values."),
        ("(table[key], [])", "(key, [])", "The old value is the new key."),
    ),
)
