import re
from itertools import product
from pathlib import Path

import pytest

from mira.config import load_config

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "config/*.md", "results/README.md")
    for page in ROOT.glob(pattern)
)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
WILDCARD = re.compile(r"\{(\w+)\}")


def headings(page):
    """Anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_resolve(page):
    for target in LINK.findall(FENCE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        assert linked.is_relative_to(ROOT), f"{page.name}: {target} leaves the repository"
        assert linked.exists(), f"{page.name}: {target} does not exist"
        if anchor:
            assert anchor in headings(linked), f"{page.name}: {target} names no heading"


def output_blocks():
    """The text of every rule's output directive."""
    for rules in sorted((ROOT / "rules").glob("*.smk")):
        text = rules.read_text()
        yield from re.findall(r"^    output:\n((?: {8}.*\n)+)", text, re.MULTILINE)


def kept_outputs():
    """Patterns below results/{run}/ of what the rules leave behind."""
    place = r'"results/\{(?:run|RUN)\}/([^"]+)"'
    found = set()
    for block in output_blocks():
        block = re.sub(r"temp\([^)]*\)", "", block)
        for stem, suffixes in re.findall(rf"multiext\(\s*{place}([^)]*)\)", block):
            found |= {stem + suffix for suffix in re.findall(r'="(\.\w+)"', suffixes)}
        found |= set(re.findall(place, re.sub(r"multiext\([^)]*\)", "", block)))
    return found


def expand(path):
    """A path with ``{pdf,png}`` alternatives as all its paths."""
    parts = [part.split(",") for part in re.split(r"\{([^{}]*,[^{}]*)\}", path)]
    parts[::2] = [[",".join(part)] for part in parts[::2]]
    return {"".join(chosen) for chosen in product(*parts)}


def documented(page):
    """The paths in the first column of the page's tables."""
    rows = re.findall(r"^\| (`.+?) \|", page.read_text(), re.MULTILINE)
    return {path for row in rows for code in re.findall(r"`([^`]+)`", row) for path in expand(code)}


def producible():
    """A regular expression for every file of the demo that a rule makes."""
    config = load_config(ROOT / "config/demo.yaml")
    names = {
        "source": "|".join(config.sources),
        "group": "|".join(config.group_names()),
        "method": "|".join(config.selection.methods),
        "shard": r"\d{5}",
        "stage": "discovery|anchoring|labelling|distillation|validation",
    }
    for pattern in kept_outputs():
        parts = WILDCARD.split(pattern)
        parts[::2] = map(re.escape, parts[::2])
        parts[1::2] = [f"(?:{names[name]}|<{name}>)" for name in parts[1::2]]
        yield re.compile("results/demo/" + "".join(parts))


def test_the_map_of_results_is_what_the_rules_make():
    made = {WILDCARD.sub(r"<\1>", pattern) for pattern in kept_outputs()}
    mapped = {path.rstrip("/") for path in documented(ROOT / "results/README.md")}
    assert mapped - made == set(), "in results/README.md, but no rule makes it"
    assert made - mapped == set(), "made by a rule, but not in results/README.md"


def test_files_that_the_readme_names_can_be_made():
    patterns = list(producible())
    text = (ROOT / "README.md").read_text()
    named = {
        path for match in re.findall(r"results/demo/[^\s`)|]+", text) for path in expand(match)
    }
    assert len(named) > 10
    unmade = {
        path
        for path in named
        if not any(pattern.fullmatch(path.rstrip("/.,")) for pattern in patterns)
    }
    assert not unmade, f"README.md names what no rule makes: {sorted(unmade)}"


def test_the_readme_names_targets_of_the_makefile():
    makefile = (ROOT / "Makefile").read_text()
    commands = re.findall(r"(?:^ {4}|`)make ([a-z]+)", (ROOT / "README.md").read_text(), re.M)
    named = set(commands)
    assert {"demo", "test"} <= named
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"make {target}"
