"""One GPU per process: leases that end with their holder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mira.errors import UserError
from mira.scoring.devices import VARIABLE, is_dealt_out, lease_devices, list_devices

HOLDER = """
import sys
from pathlib import Path
from mira.scoring.devices import lease_devices
with lease_devices(1, devices=["0", "1"], folder=Path(sys.argv[1])) as held:
    print(held[0], flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _free_machine(monkeypatch: pytest.MonkeyPatch):
    for name in (VARIABLE, "SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID"):
        monkeypatch.delenv(name, raising=False)


def test_two_leases_get_different_devices_and_give_them_back(tmp_path: Path):
    with lease_devices(1, devices=["0", "1", "2"], folder=tmp_path) as first:
        assert os.environ[VARIABLE] == first[0] == "0"
    assert VARIABLE not in os.environ
    with lease_devices(2, devices=["0", "1", "2"], folder=tmp_path) as pair:
        assert os.environ[VARIABLE] == "0,1" and pair == ("0", "1")


def test_a_killed_holder_frees_its_device(tmp_path: Path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == b"0"
        with lease_devices(1, devices=["0", "1"], folder=tmp_path) as held:
            assert held == ("1",)
        with (
            pytest.raises(UserError, match="came free"),
            lease_devices(1, devices=["0"], folder=tmp_path, patience_s=0),
        ):
            pass
        holder.kill()
    with lease_devices(1, devices=["0"], folder=tmp_path, patience_s=0) as held:
        assert held == ("0",)


def test_waiting_holds_nothing(tmp_path: Path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with (
            pytest.raises(UserError),
            lease_devices(2, devices=["0", "1"], folder=tmp_path, patience_s=0),
        ):
            pass
        with lease_devices(1, devices=["1"], folder=tmp_path, patience_s=0) as held:
            assert held == ("1",)
        holder.kill()


@pytest.mark.parametrize("variable", [VARIABLE, "SLURM_JOB_ID"])
def test_who_deals_devices_out_is_left_alone(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(variable, "3")
    before = dict(os.environ)
    with lease_devices(1, devices=["0"], folder=tmp_path) as held:
        assert held == () and dict(os.environ) == before
    assert is_dealt_out(os.environ)


def test_a_machine_without_gpus_needs_no_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert list_devices() == ()
    with lease_devices(1, folder=tmp_path) as held:
        assert held == () and VARIABLE not in os.environ


def test_more_devices_than_there_are_is_the_users_mistake(tmp_path: Path):
    with (
        pytest.raises(UserError, match="tensor_parallel"),
        lease_devices(8, devices=["0"], folder=tmp_path),
    ):
        pass
