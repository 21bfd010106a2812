"""The settings' schema and reference page, generated from the models in ``mira.config``.

python -m mira.config_docs            write config/schema.json and config/README.md
python -m mira.config_docs --check    exit 1 where one of them is out of step
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mira.config import Config
from mira.io import write_text

COMMAND = "python -m mira.config_docs"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_INTRODUCTION = f"""\
# Settings

Generated from `mira/config/` by `{COMMAND}`; edit there, not here.
[schema.json](schema.json) says the same to editors and validators. A key that is not listed is an
error. Descriptions that name the paper say how a value is known; "not published" and "ours" mark
a choice made here. [demo.yaml](demo.yaml) is a complete example, [own-data.yaml](own-data.yaml)
the commented template for a corpus of your own. `python -m mira check FILE` checks a file.
"""


def build_schema() -> dict[str, Any]:
    """JSON schema of a config file (ours); no object admits keys that it does not name."""
    schema = {"$schema": _DIALECT, **Config.model_json_schema()}
    for part in _objects(schema):
        if "patternProperties" in part:
            part["additionalProperties"] = False
    return schema


def _objects(part: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object inside a schema, itself included."""
    if isinstance(part, dict):
        yield part
        part = list(part.values())
    if isinstance(part, list):
        for value in part:
            yield from _objects(value)


def build_reference() -> str:
    """The reference page: every key by dotted path with type, default and description (ours)."""
    schema = build_schema()
    top = [name for name, field in Config.model_fields.items() if _section(field) is None]
    parts = [_INTRODUCTION, _table(_rows(Config, "", schema, only=top))]
    for name, field in Config.model_fields.items():
        section = _section(field)
        if section is not None:
            path = f"{name}.<name>" if _is_map(field) else name
            title = f"## {name}\n\n{_sentence(field.description or section.__doc__)}\n"
            parts.append(f"{title}\n{_table(_rows(section, path, schema))}")
    return "\n".join(parts)


def _rows(
    model: type[BaseModel], path: str, schema: dict[str, Any], only: Sequence[str] | None = None
) -> Iterator[tuple[str, str, str, str]]:
    """Key, type, default and description of a model's settings, nested ones in their place."""
    properties = _properties(model, schema)
    for name, field in model.model_fields.items():
        if only is not None and name not in only:
            continue
        key = f"{path}.{name}" if path else name
        section = _section(field)
        if section is not None:
            yield from _rows(section, key, schema)
        else:
            kind = describe_type(properties[name], schema)
            yield f"`{key}`", kind, _default(field), _sentence(field.description)


def _properties(model: type[BaseModel], schema: dict[str, Any]) -> dict[str, Any]:
    part = schema if model is Config else schema["$defs"][model.__name__]
    return part["properties"]


def _section(field: FieldInfo) -> type[BaseModel] | None:
    """The model behind a setting that is a section, or a map of sections."""
    for kind in (field.annotation, *get_args(field.annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def _is_map(field: FieldInfo) -> bool:
    return bool(get_args(field.annotation))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def describe_type(part: dict[str, Any], schema: dict[str, Any]) -> str:
    """A JSON schema's type in a few words, such as ``integer, at least 1``."""
    if "$ref" in part:
        return describe_type(schema["$defs"][part["$ref"].rsplit("/", 1)[-1]], schema)
    if "anyOf" in part:
        return " or ".join(describe_type(option, schema) for option in part["anyOf"])
    if "enum" in part or "const" in part:
        return " \\| ".join(f"`{value}`" for value in part.get("enum", [part.get("const")]))
    if part.get("type") == "array":
        return f"list of {describe_type(part['items'], schema)}"
    if part.get("type") == "object":
        return _describe_map(part, schema)
    return ", ".join([part.get("type", "anything"), *_bounds(part)])


def _describe_map(part: dict[str, Any], schema: dict[str, Any]) -> str:
    values = part.get("additionalProperties")
    if not isinstance(values, dict):
        return "map"
    keys = part.get("propertyNames", {})
    names = f" for each of {describe_type(keys, schema)}" if "enum" in keys else ""
    return f"map: {describe_type(values, schema)}{names}"


def _bounds(part: dict[str, Any]) -> Iterator[str]:
    if "minimum" in part and "maximum" in part:
        yield f"{part['minimum']:g} to {part['maximum']:g}"
    elif "minimum" in part:
        yield f"at least {part['minimum']:g}"
    if "exclusiveMinimum" in part:
        yield f"above {part['exclusiveMinimum']:g}"
    if "exclusiveMaximum" in part:
        yield f"below {part['exclusiveMaximum']:g}"
    if "pattern" in part:
        yield f"matching `{part['pattern']}`"


def _table(rows: Iterator[tuple[str, str, str, str]]) -> str:
    lines = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _sentence(text: str | None) -> str:
    return " ".join((text or "").split()).replace("<", "\\<").replace("|", "\\|")


def build_files() -> dict[str, str]:
    """The generated files by name, as they should stand in ``config/``."""
    schema = json.dumps(build_schema(), indent=2, ensure_ascii=False) + "\n"
    return {"schema.json": schema, "README.md": build_reference()}


def stale_files(folder: Path) -> list[Path]:
    """Those of the generated files in ``folder`` that are missing or out of step."""
    return [
        folder / name
        for name, content in build_files().items()
        if not (folder / name).exists() or (folder / name).read_text(encoding="utf-8") != content
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Write the files, or with ``--check`` compare them."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--folder", type=Path, default=Path("config"))
    arguments = parser.parse_args(argv)
    stale = stale_files(arguments.folder)
    if arguments.check and stale:
        names = ", ".join(map(str, stale))
        print(f"out of step with mira/config.py: {names}. Run: {COMMAND}", file=sys.stderr)
        sys.exit(1)
    contents = build_files()
    for path in stale:
        write_text(contents[path.name], path)


if __name__ == "__main__":
    main()
