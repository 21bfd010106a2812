import pytest

from mira.teacher.bill import make_bill
from mira.teacher.client import CallCounts
from mira.teacher.ladder import RUNGS, Outcome
from mira.teacher.pricing import Charge, Usage


def outcome(rung, reason=None, repairs=()):
    usage, charge = Usage(100, 20, 10, 5), Charge(0.25, 110)
    return Outcome(rung, None, None, "h", usage, charge, reason, None, repairs)


OUTCOMES = [
    outcome("strict"),
    outcome("repaired", repairs=("markup", "decimal")),
    outcome("asked_again", repairs=("markup",)),
    outcome("rejected", "timeout"),
    outcome("rejected", "refusal"),
    outcome("rejected", "timeout"),
]
CALLS = CallCounts(
    **{"paid": 4, "from_journal": 3, "failed": 2, "retried": 7, "lost": 1, "unmetered": 1},
    usage=Usage(400, 80, 40, 20),
    charge=Charge(1.0, 440),
    lost_charge=Charge(0.75, 900),
)


def test_the_bill_adds_up_all_outcomes_and_names_what_went_wrong():
    bill = make_bill(OUTCOMES, CALLS)
    assert (bill["records"], bill["rejected"]) == (6, 3) == (6, sum(bill["reasons"].values()))
    assert bill["parse"] == {"strict": 1, "repaired": 1, "asked_again": 1, "rejected": 3}
    assert bill["repairs"] == {"decimal": 1, "markup": 2}
    assert bill["reasons"] == {"refusal": 1, "timeout": 2}
    assert bill["tokens"] == Usage(600, 120, 60, 30).as_dict()
    assert bill["tokens"]["thinking_tokens"] == 30
    assert bill["money"] == pytest.approx(1.5)


def test_the_bill_tells_paid_journal_lost_and_failed_calls_apart():
    bill = make_bill(OUTCOMES, CALLS)
    calls = {name: bill[name] for name in bill if name.endswith("calls")}
    assert calls == {
        **{"calls": 7, "paid_calls": 4, "journal_calls": 3, "failed_calls": 2, "retried_calls": 7},
        **{"lost_calls": 1, "unmetered_calls": 1},
    }
    assert (bill["paid_money"], bill["lost_money"]) == (1.0, 0.75)
    assert bill["paid_tokens"] == Usage(400, 80, 40, 20).as_dict()


def test_the_bill_of_nothing_is_zero():
    bill = make_bill([], CallCounts())
    assert bill["records"] == bill["calls"] == bill["money"] == bill["paid_money"] == 0
    assert bill["parse"] == dict.fromkeys(RUNGS, 0) and bill["reasons"] == bill["repairs"] == {}
