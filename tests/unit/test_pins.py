import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ENVS = sorted((ROOT / "envs").glob("*.yaml"))
VLLM = "vllm"
"""Its environment has requirements of its own, and nothing of it is in the workflow's."""

BROUGHT_BY_VLLM = {
    *("jinja2", "numpy", "openai", "pydantic", "pyyaml", "regex", "safetensors"),
    *("tokenizers", "torch", "transformers"),
}

PIN = re.compile(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.+!-]+)")


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(lines):
    """Versions by name; every line must be an exact pin."""
    found = {}
    for line in lines:
        match = PIN.fullmatch(line.strip())
        assert match, f"'{line}' is not an exact pin (name==version)"
        found[canonical(match[1])] = match[2]
    return found


def pins_of_file(name):
    lines = (ROOT / name).read_text().splitlines()
    return pins(line for line in lines if line.strip() and not line.startswith("#"))


def pins_of_env(path):
    *_, pip = yaml.safe_load(path.read_text())["dependencies"]
    return pins(pip["pip"])


def imported_modules(path, whole):
    """Names a file imports: everywhere in it, or only where importing the file needs them."""
    tree = ast.parse(path.read_text())
    nodes = list(ast.walk(tree)) if whole else tree.body
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_file(name):
    path = ROOT / name.replace(".", "/")
    for candidate in (path / "__init__.py", path.with_suffix(".py")):
        if candidate.exists():
            return candidate
    return None


def is_ours(module):
    return module == "mira" or module.startswith("mira.")


def third_party(modules):
    tops = {module.split(".")[0] for module in modules if not is_ours(module)}
    return tops - sys.stdlib_module_names


def imports_of_script(script):
    """Third-party packages that a script and the modules it imports load at once."""
    modules = set(imported_modules(script, whole=True))
    pending = [module for module in modules if is_ours(module)]
    seen = set()
    while pending:
        path = module_file(pending.pop())
        if path is None or path in seen:
            continue
        seen.add(path)
        further = set(imported_modules(path, whole=False))
        modules |= further
        pending += [module for module in further if is_ours(module)]
    return third_party(modules)


def distributions(tops):
    known = packages_distributions()
    return {top: {canonical(name) for name in known[top]} for top in tops}


def scripts_by_env():
    """(environment, script) of every rule, read from the rules as text."""
    found = set()
    for rules in sorted((ROOT / "rules").glob("*.smk")):
        envs = []
        for line in rules.read_text().splitlines():
            if match := re.search(r'"\.\./envs/(\w+)\.yaml"', line):
                envs = [match[1]]
            if line.strip() == "SCORING_ENV":
                envs = ["train", VLLM]
            if match := re.search(r"scripts/(\w+\.py)", line):
                found |= {(env, match[1]) for env in envs}
    return sorted(found)


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_direct_dependencies_are_pinned_as_in_the_constraints(name):
    constraints = pins_of_file("constraints.txt")
    differing = {
        package: (version, constraints.get(package))
        for package, version in pins_of_file(name).items()
        if constraints.get(package) != version
    }
    assert not differing, f"{name} and constraints.txt differ: {differing}"


@pytest.mark.parametrize("env", ENVS, ids=lambda path: path.stem)
def test_environments_agree_with_the_requirements(env):
    of_vllm = env.stem == VLLM
    required = pins_of_file("requirements-vllm.txt" if of_vllm else "requirements.txt")
    content = yaml.safe_load(env.read_text())
    assert content["channels"] == ["conda-forge", "nodefaults"]
    assert "python=3.11" in content["dependencies"]
    for package, version in pins_of_env(env).items():
        assert required.get(package) == version, f"{env.name}: {package}=={version}"


def test_every_import_of_the_package_is_a_direct_requirement():
    imported = set()
    for path in (ROOT / "mira").rglob("*.py"):
        imported |= third_party(imported_modules(path, whole=True)) - {VLLM}
    required = pins_of_file("requirements.txt").keys()
    missing = {top for top, names in distributions(imported).items() if not names & required}
    assert not missing, f"imported but not in requirements.txt: {sorted(missing)}"


@pytest.mark.parametrize(("env", "script"), scripts_by_env())
def test_a_rules_environment_has_what_its_script_imports(env, script):
    available = set(pins_of_env(ROOT / "envs" / f"{env}.yaml"))
    if env == VLLM:
        available |= BROUGHT_BY_VLLM
    needed = distributions(imports_of_script(ROOT / "scripts" / script))
    missing = {top for top, names in needed.items() if not names & available}
    assert not missing, f"envs/{env}.yaml lacks what scripts/{script} imports: {sorted(missing)}"


def test_every_rule_names_an_environment_and_every_environment_is_used():
    used = {env for env, _ in scripts_by_env()}
    assert used == {env.stem for env in ENVS}


@pytest.mark.parametrize("name", ["requirements-vllm.txt", "requirements-vllm-cpu.txt"])
def test_vllms_environments_differ_from_the_workflows_only_where_vllm_decides(name):
    required, vllms = pins_of_file("requirements.txt"), pins_of_file(name)
    decided = {"numpy", "openai", "transformers"}
    differing = {
        package
        for package, version in vllms.items()
        if package in required and required[package] != version
    }
    assert differing <= decided, f"{name} differs from requirements.txt: {differing - decided}"
    makefile = (ROOT / "Makefile").read_text()
    assert f"torch=={required['torch']}" in makefile
