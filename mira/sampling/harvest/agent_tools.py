"""Tools that scripted agents call with JSON arguments, and the trace that records the calls."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Arguments = Mapping[str, Any]


class ToolError(Exception):
    """A tool refused its arguments; the message is what the agent gets to read."""


@dataclass(frozen=True)
class Tool:
    """A function an agent may call. ``parameters`` maps argument names to JSON Schema types."""

    name: str
    description: str
    parameters: Mapping[str, str]
    run: Callable[..., Any]
    optional: frozenset[str] = frozenset()

    @property
    def signature(self) -> str:
        """The tool on one line, as a person would list it."""
        shown = [
            f"{n}: {t}" + ("?" if n in self.optional else "") for n, t in self.parameters.items()
        ]
        return f"{self.name}({', '.join(shown)})"

    @property
    def schema(self) -> dict[str, Any]:
        """The tool in the form of OpenAI's ``tools`` parameter."""
        properties = {
            name: {"type": "array", "items": {"type": kind.removeprefix("array of ")}}
            if kind.startswith("array of ")
            else {"type": kind}
            for name, kind in self.parameters.items()
        }
        required = [name for name in self.parameters if name not in self.optional]
        return {
            "name": self.name,
            "description": self.description,
            "parameters": {"type": "object", "properties": properties, "required": required},
        }


class Toolbox:
    """Tools by name, executed from raw JSON arguments."""

    def __init__(self, tools: Sequence[Tool]) -> None:
        self.tools = {tool.name: tool for tool in tools}

    def execute(self, name: str, raw: str) -> str:
        """Run one call; whatever is wrong with it becomes an error reply, never an exception."""
        if name not in self.tools:
            return f"error: unknown tool '{name}'. Available: {', '.join(self.tools)}"
        tool = self.tools[name]
        try:
            arguments = json.loads(raw)
        except json.JSONDecodeError as error:
            return f"error: arguments are not valid JSON: {error}"
        if not isinstance(arguments, dict):
            return f"error: arguments must be a JSON object, got {type(arguments).__name__}"
        missing = [n for n in tool.parameters if n not in arguments and n not in tool.optional]
        unknown = [n for n in arguments if n not in tool.parameters]
        if missing:
            return f"error: {name}: missing argument(s): {', '.join(missing)}"
        if unknown:
            return f"error: {name}: unexpected argument(s): {', '.join(unknown)}"
        try:
            result = tool.run(**arguments)
        except ToolError as error:
            return f"error: {error}"
        except (ValueError, TypeError, ZeroDivisionError, LookupError, ArithmeticError) as error:
            return f"error: {type(error).__name__}: {error}"
        return result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)


@dataclass
class Trace:
    """Messages of one run; every call gets its reply in the same breath."""

    toolbox: Toolbox
    messages: list[dict[str, Any]] = field(default_factory=list)
    _calls: int = 0

    def add(self, role: str, content: str) -> None:
        """Add a message without calls."""
        self.messages.append({"role": role, "content": content})

    def call(self, name: str, arguments: Arguments | str, thought: str = "") -> str:
        """Call one tool and record its reply. A string is sent as it is, broken JSON included."""
        return self.call_all([(name, arguments)], thought)[0]

    def call_all(
        self, calls: Sequence[tuple[str, Arguments | str]], thought: str = ""
    ) -> list[str]:
        """Call several tools in one turn and record their replies in order."""
        requests: list[dict[str, Any]] = []
        replies: list[str] = []
        for name, arguments in calls:
            raw = (
                arguments
                if isinstance(arguments, str)
                else json.dumps(arguments, ensure_ascii=False)
            )
            self._calls += 1
            function = {"name": name, "arguments": raw}
            requests.append(
                {"id": f"call_{self._calls:03d}", "type": "function", "function": function}
            )
        self.messages.append({"role": "assistant", "content": thought, "tool_calls": requests})
        for request in requests:
            reply = self.toolbox.execute(
                request["function"]["name"], request["function"]["arguments"]
            )
            self.messages.append({"role": "tool", "content": reply, "tool_call_id": request["id"]})
            replies.append(reply)
        return replies
