"""The page itself: views of the data, put into one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from importlib.resources import files
from typing import Any

import jinja2
import pandas as pd
import yaml
from markupsafe import Markup

from mira.audit.findings import VERDICTS
from mira.report import wording
from mira.report.bill import forecast_lines
from mira.report.funnel import funnel
from mira.report.gather import SAMPLE_METHOD, ReportData
from mira.report.samples import samples
from mira.report.selections import kept_by_method, overlap, retention
from mira.report.summary import headline_method, stand_ins, summary
from mira.report.trust import agreement, by_readout, masks

STAGES = (
    "sampling",
    "clustering",
    "discovery",
    "anchoring",
    "labelling",
    "distillation",
    "validation",
    "scoring",
    "selection",
    "downstream",
    "figures",
    "tables",
    "audit",
    "report",
)
HEAT_STEPS = 10


def render(data: ReportData) -> str:
    """The report as one HTML page: styles, script and images inside, no request to anywhere.

    Text from records and replies is escaped; a content security policy in the page forbids
    every connection and every script but the page's own.
    """
    templates = files("mira.report") / "templates"
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mira.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(_filters())
    environment.globals["interval_text"] = wording.interval
    style = (templates / "report.css").read_text(encoding="utf-8")
    script = (templates / "report.js").read_text(encoding="utf-8")
    template = environment.get_template("report.html.jinja")
    page = template.render(
        data=data, style=Markup(style), script=Markup(script), policy=_policy(style, script),
        **_views(data),
    )  # fmt: skip
    return page + "\n"


def _policy(style: str, script: str) -> str:
    return (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src '{_source_hash(style)}'; script-src '{_source_hash(script)}'"
    )


def _source_hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


def _filters() -> dict[str, Any]:
    names = (
        "count short_count decimal percent interval duration plural humanise method_name "
        "method_meaning is_number"
    )
    filters = {name: getattr(wording, name) for name in names.split()}
    return {**filters, "heat": heat, "yaml": as_yaml, "without": without}


def _views(data: ReportData) -> dict[str, Any]:
    method = headline_method(list(data.selections))
    return {
        "title": data.settings.get("report", {}).get("title", f"MIRA: {data.run}"),
        "stand_ins": stand_ins(data.settings),
        "sentences": summary(data),
        "headline": method,
        "sample_method": SAMPLE_METHOD,
        "steps": funnel(data, method),
        "groups": _groups(data),
        "matrix": _similarity(data),
        "agreement": agreement(data.cells, data.ridge).to_dict("records"),
        "readouts": by_readout(data.readouts, data.cells).to_dict("records"),
        "masks": list(masks(data.cells)),
        "kept": kept_by_method(data.selections, data.certificates),
        "retention": _retention(data),
        "overlap": overlap(data.selections).reindex(list(data.selections)),
        "separation": _separation(data.separation),
        "samples": samples(data, SAMPLE_METHOD),
        "audit": audit_view(data.audit),
        "headline_table": data.headline.to_dict("split"),
        "stages": ordered_stages(data.stage_seconds),
        "cost": flatten(without(data.cost, "forecast")),
        "forecast": forecast_lines(data.cost.get("forecast", {})),
        "provenance": _provenance(data),
    }


def heat(value: Any, low: float = 0.0, high: float = 1.0) -> str:
    """The CSS class of a heat map cell: ``heat-0`` to ``heat-10``, or none without a value."""
    if not wording.is_number(value):
        return ""
    share = (value - low) / (high - low) if high > low else 1.0
    return f"heat-{round(HEAT_STEPS * min(1.0, max(0.0, share)))}"


def as_yaml(value: Any) -> str:
    """Settings and certificates as YAML, in their own order."""
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=88).strip()


def without(value: dict[str, Any], *keys: str) -> dict[str, Any]:
    """A mapping less some of its keys."""
    return {key: item for key, item in value.items() if key not in keys}


def flatten(value: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """A nested mapping as rows of names and plain values."""
    rows: list[tuple[str, Any]] = []
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, dict):
            rows += flatten(item, f"{name}, ")
        else:
            rows.append((wording.humanise(name), _plain(item)))
    return rows


def _plain(item: Any) -> str:
    if isinstance(item, bool) or not wording.is_number(item):
        return wording.ABSENT if item is None else str(item)
    if isinstance(item, int) or item == int(item):
        return wording.count(item)
    return wording.decimal(item, 4 if abs(item) < 1 else 2)


def _groups(data: ReportData) -> list[dict[str, Any]]:
    names = sorted({*data.groups["group"].astype(str), *data.anchors})
    points = data.points["group"].value_counts()
    return [
        {
            "name": name,
            "sources": data.groups[data.groups["group"] == name].to_dict("records"),
            "anchors": data.anchors.get(name, []),
            "points": int(points.get(name, 0)),
        }
        for name in names
    ]


def _similarity(data: ReportData) -> dict[str, Any]:
    """Sources in the order of their groups; the colour scale starts at the lowest pair."""
    rows = data.similarity
    order = data.groups.sort_values(["group", "source"])["source"].tolist()
    pairs = {(r.source_a, r.source_b): r.similarity for r in rows.itertuples()}
    return {"sources": order, "pairs": pairs, "low": rows["similarity"].min()}


def _retention(data: ReportData) -> list[dict[str, Any]]:
    """Tables of the share of tokens kept, per source and per group."""
    if not data.selections:
        return []
    group = dict(zip(data.groups["source"], data.groups["group"], strict=True))
    sources = retention(data.selections, "source")
    sources.insert(0, "group", [group.get(str(source), "") for source in sources.index])
    sources = sources.sort_values("group", kind="stable")
    return [
        {"by": "source", "rows": sources.reset_index(names="name").to_dict("records")},
        {"by": "group", "rows": _by_group(data)},
    ]


def _by_group(data: ReportData) -> list[dict[Any, Any]]:
    shares = retention(data.selections, "group")
    return shares.reset_index(names="name").to_dict("records")


def _separation(rows: pd.DataFrame) -> dict[str, Any]:
    """Pooled rows per method, the within-source summary, and a grid per source."""
    methods = sorted(rows["method"].unique(), key=wording.method_order)
    by_key = {(r.source, r.method): r for r in rows.itertuples()}
    sources = [s for s in sorted(rows["source"].unique()) if s not in ("ALL", "MEAN")]
    return {
        "methods": methods,
        "pooled": [by_key.get(("ALL", method)) for method in methods],
        "within": {method: by_key.get(("MEAN", method)) for method in methods},
        "sources": sources,
        "cells": by_key,
    }


def audit_view(audit: dict[str, Any]) -> dict[str, Any]:
    """Verdicts with their counts, and the findings of ``audit/audit.json``, disagreements first."""
    findings = audit.get("findings", [])
    found = Counter(finding["verdict"] for finding in findings)
    return {
        "counts": {verdict: found[verdict] for verdict in VERDICTS if found[verdict]},
        "disagreeing": [f for f in findings if f["verdict"] == "disagrees"],
        "findings": sorted(findings, key=lambda f: VERDICTS.index(f["verdict"])),
    }


def ordered_stages(seconds: dict[str, float]) -> list[tuple[str, float]]:
    """Stages with their seconds in the order in which data flows, unknown ones last."""
    known = [stage for stage in STAGES if stage in seconds]
    return [(stage, seconds[stage]) for stage in [*known, *sorted(set(seconds) - set(known))]]


def _provenance(data: ReportData) -> dict[str, Any]:
    manifests = data.manifests.values()
    packages: dict[str, set[str]] = {}
    for manifest in manifests:
        for name, version in manifest.get("packages", {}).items():
            packages.setdefault(name, set()).add(version)
    models = data.scored[["group", "engine", "readout", "model_hash"]].drop_duplicates()
    return {
        "code": sorted({m["code_version"] for m in manifests if "code_version" in m}),
        "packages": {name: ", ".join(sorted(found)) for name, found in sorted(packages.items())},
        "models": models.sort_values("group").to_dict("records"),
    }
