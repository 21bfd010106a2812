"""The rules as they are written: the contract of every rule, and the graph they make."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from workflow_runs import DEMO, ROOT, TRACEBACK, environment, snakemake

from mira.config import load_config

TARGETS = {"all", "figures", "tables"}
RULE_FILES = sorted((ROOT / "rules").glob("*.smk"))
SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))
KNOWS_SPOILED = {"harvest_sources", "evaluate_separation"}

# Jobs of one rule: one each per source, group, ..., or a number.
DEMO_JOBS: dict[str, int | str] = {
    "all": 1,
    "audit_claims": 1,
    "build_anchors": "group",
    "cluster_sources": 1,
    "count_tokens": "source",
    "describe_stage": 5,
    "discover_points": "group",
    "draw_samples": 1,
    "evaluate_group": "group",
    "evaluate_separation": 1,
    "export_selection": "method",
    "forecast_discovery": 1,
    "forecast_labelling": 1,
    "harvest_sources": 1,
    "label_records": "group",
    "make_anchors_table": 1,
    "make_groups_table": 1,
    "make_headline_table": 1,
    "make_retention_table": 1,
    "make_separation_table": 1,
    "make_trust_table": 1,
    "measure_learning_curve": "group",
    "merge_labelling": 1,
    "merge_scores": 1,
    "merge_validation": 1,
    "plot_agreement": 1,
    "plot_learning_curve": 1,
    "plot_loss_curves": 1,
    "plot_reliability_mask": 1,
    "plot_retention": 1,
    "plot_score_length": 1,
    "plot_separation": 1,
    "plot_source_similarity": 1,
    "prepare_tokenizer": 1,
    "pretrain_base": 1,
    "read_source": "source",
    "score_holdout": "group",
    "score_shard": "group and shard",
    "select_records": "method",
    "train_student": "group",
    "write_report": 1,
}


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Snakemake's own reading of the workflow: rules by name."""
    from snakemake.api import SnakemakeApi
    from snakemake.settings.enums import Quietness
    from snakemake.settings.types import ConfigSettings, OutputSettings, ResourceSettings

    here = Path.cwd()
    try:
        with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
            workflow = api.workflow(
                resource_settings=ResourceSettings(cores=1),
                config_settings=ConfigSettings(configfiles=[DEMO]),
                snakefile=ROOT / "Snakefile",
                workdir=tmp_path_factory.mktemp("rules"),
            )
            yield {rule.name: rule for rule in workflow._workflow.rules}
    finally:
        os.chdir(here)


@pytest.fixture(scope="module")
def working_rules(rules: dict[str, Any]) -> dict[str, Any]:
    """The rules that do something, without the named targets."""
    return {name: rule for name, rule in rules.items() if name not in TARGETS}


def files_of(rule: Any) -> list[str]:
    """Input and output patterns as they are written, functions aside."""
    return [str(item) for item in [*rule.input, *rule.output] if isinstance(item, str)]


def rule_text(name: str) -> str:
    text = "\n".join(path.read_text(encoding="utf-8") for path in RULE_FILES)
    found = re.search(rf"^rule {name}:\n((?:    .*\n|\n)+)", text, re.MULTILINE)
    assert found, f"rule {name} is not in rules/"
    return found[1]


def test_only_targets_do_nothing(rules: dict[str, Any]) -> None:
    assert {name for name, rule in rules.items() if rule.norun} == TARGETS


def test_every_file_has_a_name(working_rules: dict[str, Any]) -> None:
    for name, rule in working_rules.items():
        assert len(rule.output), f"{name} makes nothing"
        for files in (rule.input, rule.output):
            named = [part for _, part in files.items()]
            count = sum(len(part) if isinstance(part, list) else 1 for part in named)
            assert count == len(files), f"{name} has files without a name"


def test_every_rule_keeps_the_contract(working_rules: dict[str, Any]) -> None:
    for name, rule in working_rules.items():
        stage = Path(rule.snakefile).stem
        text = rule_text(name)
        assert rule.docstring, f"{name} has no docstring"
        assert "\n" not in rule.docstring.strip(), f"{name}: one line"
        for kind, path in (("logs", str(rule.log[0])), ("benchmarks", str(rule.benchmark))):
            assert path.startswith(f"{kind}/"), f"{name}: {path}"
            assert f"/{name}" in path, f"{name}: {path} does not name the rule"
            assert f"/{stage}/" in path or "{stage" in path, f"{name}: {path} is of another stage"
        for directive in ("threads:", "mem=", "runtime=", "conda:"):
            assert directive in text, f"{name} has no {directive}"
        assert (ROOT / "rules" / str(rule.conda_env)).exists(), f"{name}: {rule.conda_env}"
        assert "version" in dict(rule.params.items()), f"{name} has no version in its params"
        assert not rule.is_run, f"{name} has a run block"


def test_script_is_named_after_its_rule(working_rules: dict[str, Any]) -> None:
    for name, rule in working_rules.items():
        if rule.script is not None:
            assert rule.script == f"../scripts/{name}.py"
        assert (ROOT / "scripts" / f"{name}.py").exists()
    assert {path.stem for path in SCRIPTS} == set(working_rules) | {"assume_cells", "take_scorer"}


ASKING = {"discover_points", "forecast_discovery", "forecast_labelling", "label_records"}
"""Limits, prices and addresses of the teacher come past params: they are no reason to rerun."""


def test_scripts_read_no_settings_past_their_params() -> None:
    for script in SCRIPTS:
        if script.stem in ASKING:
            continue
        text = script.read_text(encoding="utf-8")
        assert not re.search(r"snakemake\.config\b|load_config|yaml\.", text), script.name


def test_spoil_marks_reach_one_evaluation_alone(working_rules: dict[str, Any]) -> None:
    knows = {name for name, rule in working_rules.items() if "hidden" in " ".join(files_of(rule))}
    assert knows == KNOWS_SPOILED
    assert all("hidden" not in rule_text(name) for name in set(working_rules) - KNOWS_SPOILED)


def test_no_code_looks_for_the_spoil_marks() -> None:
    """Paths come from the rules alone, so no file may spell out where the marks lie."""
    place = re.compile(r"""hidden/|/ ["']hidden["']|spoiled\.parquet""")
    for path in [*SCRIPTS, *sorted((ROOT / "mira").rglob("*.py"))]:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            assert not place.search(line), f"{path.name}:{number}: {line.strip()}"


def test_modules_that_know_of_spoiling() -> None:
    imports = re.compile(r"^\s*(?:from|import) mira\.(?:sampling\.(?:spoil|damage)|separation)\b")
    users = {
        path.relative_to(ROOT).as_posix()
        for path in [*SCRIPTS, *sorted((ROOT / "mira").rglob("*.py"))]
        if any(map(imports.match, path.read_text(encoding="utf-8").splitlines()))
    }
    assert users == {
        "scripts/harvest_sources.py",
        "scripts/evaluate_separation.py",
        "mira/sampling/spoil.py",
    }


def test_snakefmt_is_clean() -> None:
    done = subprocess.run(
        ["snakefmt", "--check", "Snakefile", "rules"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_lint_has_no_finding(tmp_path: Path) -> None:
    status, seen = snakemake(tmp_path, DEMO, "--lint")
    assert status == 0, seen


def job_counts(dry_run: str) -> dict[str, int]:
    table = dry_run.split("Job stats:")[1].split("\ntotal")[0]
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}


def test_demo_makes_the_expected_jobs(tmp_path: Path) -> None:
    status, seen = snakemake(tmp_path, DEMO, "--dry-run")
    assert status == 0, seen
    settings = load_config(DEMO)
    groups = len(settings.group_names())
    number = {
        "source": len(settings.sources),
        "group": groups,
        "group and shard": groups * settings.scoring.shards,
        "method": len(settings.selection.methods),
    }
    expected = {
        rule: number[per] if isinstance(per, str) else per for rule, per in DEMO_JOBS.items()
    }
    assert job_counts(seen) == expected


@pytest.mark.parametrize(
    ("target", "last", "without"),
    [
        ("figures/reliability_mask.pdf", "plot_reliability_mask", "score_shard"),
        ("tables/headline.md", "make_headline_table", "harvest_sources"),
        ("audit/audit.md", "audit_claims", "write_report"),
        ("selection/mira_group.parquet", "select_records", "export_selection"),
        ("report.html", "write_report", "all"),
    ],
)
def test_single_target_from_a_clean_state(
    tmp_path: Path, target: str, last: str, without: str
) -> None:
    status, seen = snakemake(tmp_path, DEMO, "--dry-run", f"results/demo/{target}")
    assert status == 0, seen
    jobs = job_counts(seen)
    assert jobs[last] == 1
    assert without not in jobs


@pytest.mark.parametrize(
    "target",
    ["labelling/agent-9.parquet", "selection/mira_best.parquet", "sampling/corpus/nowhere.parquet"],
)
def test_target_of_an_unknown_name(tmp_path: Path, target: str) -> None:
    status, seen = snakemake(tmp_path, DEMO, "--dry-run", f"results/demo/{target}")
    assert status != 0
    assert TRACEBACK not in seen
    assert f"No rule to produce results/demo/{target}" in seen


def test_shell_commands_name_no_file_of_the_working_directory(rules: dict[str, Any]) -> None:
    for name, rule in rules.items():
        if rule.shellcmd is not None:
            assert not re.search(r"\b(scripts|config)/", rule.shellcmd), name
