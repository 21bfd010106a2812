"""Labelling against an endpoint that fails in every way, in one go."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from faulty_endpoint import Events, faulty_endpoint
from labelling_run import label_records
from pandas.testing import assert_frame_equal

from mira.labelling import Labelled
from mira.teacher.ladder import REASONS

N_RECORDS = 120
FAULTS = ("--seed", 305, "--fault-share", 0.4)

Label = Callable[..., tuple[Labelled, Events]]


@pytest.fixture(scope="module")
def label_at(tmp_path_factory: pytest.TempPathFactory) -> Label:
    """Labels in a folder, at an endpoint started with the arguments."""

    def label(folder: Path, *arguments: object, **changes: object) -> tuple[Labelled, Events]:
        log = tmp_path_factory.mktemp("log") / "events.jsonl"
        with faulty_endpoint(log, *FAULTS, *arguments) as (url, events):
            labelled = label_records(url, folder, N_RECORDS, max_failed_share=1.0, **changes)
            events.refresh()
        return labelled, events

    return label


@pytest.fixture(scope="module")
def quiet(label_at: Label, tmp_path_factory: pytest.TempPathFactory) -> Labelled:
    return label_at(tmp_path_factory.mktemp("quiet"), "--quiet", timeout_s=30)[0]


def assert_same(labelled: Labelled, quiet: Labelled) -> None:
    assert_frame_equal(labelled.labels, quiet.labels)
    assert_frame_equal(labelled.rejected, quiet.rejected)


def test_a_quiet_run_labels_or_rejects_every_record(quiet: Labelled) -> None:
    rungs = quiet.cost["parse"]
    assert all(rungs.values()) and rungs["strict"] > N_RECORDS / 2
    assert len(quiet.labels) + len(quiet.rejected) == N_RECORDS
    assert quiet.cost["failed_calls"] == sum(quiet.rejected["reason"] == "refused_by_endpoint")
    assert quiet.cost["retried_calls"] == 0


def test_passing_faults_change_nothing_but_the_number_of_tries(
    tmp_path: Path, quiet: Labelled, label_at: Label
) -> None:
    labelled, events = label_at(tmp_path)
    assert_same(labelled, quiet)
    spoilt = sum(bool(event["fault"]) for event in events.all if event["event"] != "asked")
    assert labelled.cost["retried_calls"] >= spoilt > N_RECORDS / 5
    again, events = label_at(tmp_path)
    assert_same(again, quiet)
    assert again.cost["paid_calls"] == 0 and again.cost["money"] == labelled.cost["money"]
    assert not events.keys("answered")


def test_lasting_faults_end_in_the_rejected_table_with_their_reason(
    tmp_path: Path, quiet: Labelled, label_at: Label
) -> None:
    labelled, events = label_at(tmp_path, "--lasting", max_retries=1)
    assert len(labelled.labels) + len(labelled.rejected) == N_RECORDS
    assert set(labelled.rejected["reason"]) == set(REASONS)
    assert labelled.rejected["detail"].str.len().all()
    assert max(events.keys("asked").values()) == 2
    untouched = labelled.labels[labelled.labels["parse"] == "strict"].reset_index(drop=True)
    expected = quiet.labels[quiet.labels["id"].isin(untouched["id"])].reset_index(drop=True)
    assert_frame_equal(untouched, expected)
