import copy
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mira.records import ROLES, render
from mira.sampling import damage
from mira.sampling.spoil import SPOILERS, Donors, spoil_records

RNG_SEEDS = range(5)
CODE = '''"""Shapes and their areas."""

import math


class Circle:
    """A circle with the given radius."""

    def __init__(self, radius):
        if radius < 0:
            raise ValueError("the radius can't be negative")
        self.radius = radius

    def area(self):
        """Area in square units."""
        return math.pi * self.radius**2


def total_area(shapes):
    total = 0.0
    for shape in shapes:
        total += shape.area()
    return total
'''
PROSE = (
    "The river rises in the hills. It runs south for forty miles - past mills and farms. "
    "Barges carried coal on it until the railway came. Nobody recalls the last of them. "
    'Today it\'s a place for walkers, and "for those who fish". The council repairs the path. '
)


def text_record(number, source="code"):
    return {
        "id": f"{source}-{number}",
        "source": source,
        "family": "text",
        "text": CODE.replace("Circle", f"Circle{number}") + PROSE * 2,
        "meta": {"n": number},
    }


def qa_record(number, source="qa"):
    steps = "\n".join(
        f"Step {i}: add {number * 7 + i} to the running sum, which gives {i * number}."
        for i in range(6)
    )
    words = " ".join(f"term{number}x{i}" for i in range(30))
    return {
        "id": f"{source}-{number}",
        "source": source,
        "family": "qa",
        "messages": [
            {"role": "user", "content": f"How do I sum the series number {number}?"},
            {"role": "assistant", "content": f"{steps}\nIt's made of {words}."},
        ],
        "meta": {},
    }


def agent_record(number, source="agent", n_calls=4):
    messages = [{"role": "user", "content": f"Find out which files mention topic {number}."}]
    for i in range(n_calls):
        call = {"name": "grep", "arguments": json.dumps({"pattern": f"topic {number}", "page": i})}
        messages += [
            {
                "role": "assistant",
                "content": f"I'll read page {i} of the results before I say anything about it.",
                "tool_calls": [{"id": f"call_{i}", "type": "function", "function": call}],
            },
            {
                "role": "tool",
                "tool_call_id": f"call_{i}",
                "content": f"notes/{number}/{i}.txt: a line on topic {number}, seen on page {i}",
            },
        ]
    answer = " ".join(f"file{number}x{i}" for i in range(10))
    messages.append({"role": "assistant", "content": f"It's mentioned in {answer}."})
    return {
        "id": f"{source}-{number}",
        "source": source,
        "family": "agent",
        "messages": messages,
        "meta": {},
    }


MAKERS = {"text": text_record, "qa": qa_record, "agent": agent_record}
CASES = [(spoiler, family) for spoiler in SPOILERS.values() for family in spoiler.families]


def corpus(n=20):
    return [make(i) for make in MAKERS.values() for i in range(n)]


def spoil_one(name, family, seed=0):
    make = MAKERS[family]
    others = [m(9) for f, m in MAKERS.items() if f != family]
    donors = Donors(same=[make(i) for i in range(1, 5)], other=others)
    record = make(0)
    return record, SPOILERS[name].apply(record, donors, np.random.default_rng(seed))


@pytest.mark.parametrize(("spoiler", "family"), CASES, ids=lambda case: getattr(case, "name", case))
def test_every_kind_changes_the_text_and_keeps_the_structure(spoiler, family):
    for seed in RNG_SEEDS:
        record, spoiled = spoil_one(spoiler.name, family, seed)
        assert spoiled is not None
        assert render(spoiled) != render(record)
        assert spoiled.keys() == record.keys()
        assert all(spoiled[key] == record[key] for key in ("id", "source", "family", "meta"))
        calls = set()
        for message in spoiled.get("messages", ()):
            assert message["role"] in ROLES
            for call in message.get("tool_calls", ()):
                assert call["id"] not in calls
                calls.add(call["id"])
            if message["role"] == "tool":
                assert message["tool_call_id"] in calls


def test_the_input_is_not_changed_and_order_and_ids_stay():
    records = corpus()
    before = copy.deepcopy(records)
    spoiled, table = spoil_records(records, 0.5, seed=1)
    assert records == before
    assert [r["id"] for r in spoiled] == [r["id"] for r in records] == table["id"].tolist()


def test_the_table_says_exactly_which_records_differ():
    records = corpus()
    spoiled, table = spoil_records(records, 0.3, seed=1)
    differs = [render(a) != render(b) for a, b in zip(records, spoiled, strict=True)]
    assert table["spoiled"].tolist() == differs
    assert table["kind"].notna().tolist() == differs
    for row in table[table["spoiled"]].itertuples():
        assert row.family in SPOILERS[row.kind].families


@given(share=st.floats(0, 1), n=st.integers(1, 12), seed=st.integers(0, 9))
def test_the_share_is_exact_per_source(share, n, seed):
    _, table = spoil_records([*map(qa_record, range(n)), text_record(0)], share, seed)
    assert table.groupby("source")["spoiled"].sum()["qa"] == round(share * n)


def test_choice_does_not_hang_on_order_or_other_sources():
    records = [*map(qa_record, range(20)), *map(agent_record, range(20))]
    more = [*map(text_record, range(20)), *reversed(records)]
    kinds = spoil_records(records, 0.4, seed=3)[1].set_index("id")["kind"]
    kinds_more = spoil_records(more, 0.4, seed=3)[1].set_index("id")["kind"]
    assert kinds.dropna().to_dict() == kinds_more.loc[kinds.index].dropna().to_dict()


def test_same_seed_same_result_another_seed_another():
    records = corpus()
    first, again, other = (spoil_records(records, 0.4, seed)[0] for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_a_record_no_kind_applies_to_is_passed_over():
    tiny = {"id": "tiny", "source": "qa", "family": "text", "text": "x", "meta": {}}
    records = [tiny, *map(text_record, range(3))]
    for record in records:
        record["source"] = "s"
    _, table = spoil_records(records, 0.75, seed=0)
    assert table["spoiled"].tolist() == [False, True, True, True]


@pytest.mark.parametrize("seed", RNG_SEEDS)
def test_strength_of_text_damage(seed):
    rng = np.random.default_rng(seed)
    lines = CODE.rstrip().split("\n")

    shuffled = damage.shuffled_lines(CODE, rng).split("\n")
    assert sorted(shuffled) == sorted(lines)
    assert sum(a != b for a, b in zip(lines, shuffled, strict=True)) >= len(lines) / 2

    duplicated = damage.duplicated_lines(CODE, rng).split("\n")
    assert len(duplicated) >= 1.4 * len(lines)
    assert set(duplicated) == set(lines)

    cut = damage.truncated(CODE, rng)
    assert CODE.startswith(cut)
    assert 0.2 <= len(cut) / len(CODE) <= 0.5
    assert cut[-1].isalnum()
    assert CODE[len(cut)].isalnum()

    padded = damage.boilerplate_padding(CODE, rng)
    assert len(padded) >= 1.5 * len(CODE)
    assert [line for line in padded.splitlines() if line in lines and line] == list(
        filter(None, lines)
    )

    spliced = damage.spliced(CODE, [PROSE * 5], rng)
    assert 0.25 <= sum(line in spliced for line in lines) / len(lines) <= 0.95
    assert "river" in spliced or "Barges" in spliced or "walkers" in spliced


def test_lost_indentation_by_kind_of_text():
    rng = np.random.default_rng(0)
    with pytest.raises(SyntaxError):
        compile(damage.lost_indentation(CODE, rng), "code", "exec")
    assert "\n" not in damage.lost_indentation("One.\nTwo.\nThree.\nFour.\nFive.\nSix.", rng)
    assert damage.lost_indentation("<ul>\n" + "  <li>item</li>\n" * 5 + "</ul>", rng) is None


def test_mojibake_is_utf8_read_as_windows_1252():
    damaged = damage.mojibake(PROSE, np.random.default_rng(0))
    restored = damaged.encode("cp1252", errors="ignore").decode("utf-8", errors="ignore")
    assert "â€™" in damaged
    assert "Â\u00a0" in damaged
    assert "it’s" in restored.replace("\u00a0", " ")
    assert damage.mojibake("中文文本。" * 10, np.random.default_rng(0)).startswith("ä¸")


def test_broken_arguments_do_not_parse_and_replies_stay():
    for seed in RNG_SEEDS:
        record, spoiled = spoil_one("broken_tool_calls", "agent", seed)
        broken = 0
        for message in spoiled["messages"]:
            for call in message.get("tool_calls", ()):
                try:
                    json.loads(call["function"]["arguments"])
                except ValueError:
                    broken += 1
        assert broken >= 1
        replies = [[m for m in r["messages"] if m["role"] == "tool"] for r in (record, spoiled)]
        assert replies[0] == replies[1]


def test_traces_lose_results_steps_or_their_end():
    for seed in RNG_SEEDS:
        record, lost = spoil_one("tool_results_lost", "agent", seed)
        pairs = zip(record["messages"], lost["messages"], strict=True)
        changed = [a["role"] for a, b in pairs if a != b]
        assert set(changed) == {"tool"}
        assert len(changed) >= 2

        cut = spoil_one("truncated_trace", "agent", seed)[1]["messages"]
        assert cut == record["messages"][: len(cut)]
        assert 2 <= len(cut) <= len(record["messages"]) / 2

        repeated = spoil_one("steps_repeated", "agent", seed)[1]["messages"]
        contents = [m["content"] for m in repeated if m["role"] == "tool"]
        assert max(map(contents.count, contents)) >= 4
        assert repeated[-1] == record["messages"][-1]


def test_swapped_answers_come_from_another_question_of_the_source():
    record, swapped = spoil_one("answers_swapped", "qa")
    foreign = [qa_record(i)["messages"][-1] for i in range(1, 5)]
    assert swapped["messages"][0] == record["messages"][0]
    assert swapped["messages"][-1] in foreign

    record, swapped = spoil_one("final_answer_swapped", "agent")
    assert swapped["messages"][:-1] == record["messages"][:-1]
    unfinished = {**record, "messages": record["messages"][:-1]}
    donors = Donors(same=[agent_record(1)])
    apply = SPOILERS["final_answer_swapped"].apply
    assert apply(unfinished, donors, np.random.default_rng(0)) is None


@given(text=st.text(max_size=400), seed=st.integers(0, 3))
def test_no_text_makes_the_damage_crash(text, seed):
    for kind in (
        damage.shuffled_lines,
        damage.duplicated_lines,
        damage.lost_indentation,
        damage.truncated,
        damage.boilerplate_padding,
        damage.mojibake,
        damage.repeated,
    ):
        damaged = kind(text, np.random.default_rng(seed))
        assert damaged is None or isinstance(damaged.encode(), bytes)
