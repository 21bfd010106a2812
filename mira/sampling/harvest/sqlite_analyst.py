"""An agent that answers questions by querying an in-memory SQLite database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from mira.sampling.harvest.agent_scripts import Call, Script, Stage, Step, play_all
from mira.sampling.harvest.agent_tools import Tool, Toolbox, ToolError
from mira.sampling.harvest.base import Draft, HarvestSettings
from mira.sampling.harvest.databases import CITIES, DOMAINS, PEOPLE, Ask
from mira.sampling.harvest.draw import Draw

_SYSTEMS = (
    "You answer questions about a SQLite database ({name}). Tools:\n{tools}",
    "You are a data analyst. Look at the schema before you query. Tools:\n{tools}",
    "Database: {name}. You may only read it. Tools:\n{tools}",
)
_FRAMES = ("{q}", "{q} Please look it up.", "From the {name} database: {q}", "For my report: {q}")
_MAX_ROWS = 25


class Database:
    """A seeded database in memory, with tools to look into it."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db

    def list_tables(self) -> str:
        """Names of the tables and their number of rows."""
        names = self._rows("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        counts = [(n, self._rows(f'SELECT COUNT(*) FROM "{n}"')[0][0]) for (n,) in names]
        return "\n".join(f"{name} ({count} rows)" for name, count in counts)

    def describe_table(self, table: str) -> str:
        """Columns of a table with their types, and its first rows."""
        if not table.isidentifier():
            raise ToolError(f"bad table name: {table}")
        columns = self._rows(f'PRAGMA table_info("{table}")')
        if not columns:
            raise ToolError(f"no such table: {table}")
        return ", ".join(f"{name} {kind}" for _, name, kind, *_ in columns)

    def query(self, sql: str) -> str:
        """The result of a SELECT as lines with `|` between the columns."""
        if not sql.lstrip().upper().startswith("SELECT"):
            raise ToolError("only SELECT is allowed")
        try:
            cursor = self.db.execute(sql)
        except sqlite3.Error as error:
            raise ToolError(f"SQL: {error}") from None
        rows = cursor.fetchall()
        head = " | ".join(column[0] for column in cursor.description)
        shown = [["NULL" if v is None else str(v) for v in row] for row in rows[:_MAX_ROWS]]
        lines = [" | ".join(row) for row in shown]
        return "\n".join([head, *lines, f"({len(rows)} rows)"])

    def rows(self, sql: str) -> list[tuple]:
        """The rows of a query."""
        return self._rows(sql)

    def toolbox(self) -> Toolbox:
        """The tools an agent gets."""
        return Toolbox(
            (
                Tool("list_tables", "List the tables.", {}, self.list_tables),
                Tool("describe_table", "Show columns.", {"table": "string"}, self.describe_table),
                Tool("query", "Run a SELECT statement.", {"sql": "string"}, self.query),
            )
        )

    def _rows(self, sql: str) -> list[tuple]:
        return self.db.execute(sql).fetchall()


def sqlite_analyst(settings: HarvestSettings) -> Iterator[Draft]:
    """Every question over every database in turn, each time with other rows (ours)."""
    pairs = [(domain, ask) for domain in DOMAINS for ask in domain.asks]

    def prepare(draw: Draw, index: int) -> Stage:
        domain, ask = pairs[index % len(pairs)]
        database = Database(sqlite3.connect(":memory:"))
        database.db.executescript(domain.schema)
        domain.fill(database.db, draw)
        a, b = domain.values(draw)
        script = _script(domain.name, ask, {"{a}": str(a), "{b}": str(b)}, database, draw)
        toolbox = database.toolbox()
        tools = "\n".join(f"- {t.signature}: {t.description}" for t in toolbox.tools.values())
        system = draw.pick(_SYSTEMS).format(name=domain.name, tools=tools)
        return Stage(toolbox, system if draw.chance(0.85) else "", script)

    yield from play_all("sqlite_analyst", settings, prepare)


def _script(
    domain: str, ask: Ask, values: dict[str, str], database: Database, draw: Draw
) -> Script:
    question, sql, slip = (_filled(text, values) for text in (ask.question, ask.sql, ask.slip))
    overview = Step(
        Call("list_tables", {}),
        "Which tables are there?",
        Call("list_tables", {"schema": "main"}),
    )
    described = [
        Step(
            Call("describe_table", {"table": table}),
            f"I need the columns of {table}.",
            Call("describe_table", {"table": table.rstrip("s")}),
            "The table's name is in the plural.",
        )
        for table in ask.tables
    ]
    checks = []
    if draw.chance(0.3):
        table = ask.tables[0]
        sample = Call("query", {"sql": f"SELECT * FROM {table} LIMIT {draw.whole(2, 4)}"})
        checks = [Step(sample, f"A few rows of {table} to see what the values look like.")]
    final = Step(
        Call("query", {"sql": sql}),
        "Now the query.",
        Call("query", {"sql": slip}),
        "That column or table does not exist under this name; I correct the query.",
    )
    start = [overview, *described] if draw.chance(0.7) else described
    rows = database.rows(sql)
    return Script(
        domain,
        draw.pick(_FRAMES).format(q=question, name=domain),
        [*start, *checks, final],
        _answer(rows, draw),
        f"the query `{sql}` returned {len(rows)} row(s).",
        _guess(draw),
        draw.pick(("Plan: look at the schema, then query.", "Schema first.")),
    )


def _answer(rows: list[tuple], draw: Draw) -> str:
    if not rows:
        return "There are none: the query returns no rows."
    shown = [", ".join("unknown" if v is None else str(v) for v in row) for row in rows[:12]]
    if len(rows) == 1:
        return draw.pick((f"The answer is: {shown[0]}.", f"Result: {shown[0]}.", f"{shown[0]}."))
    if draw.chance(0.5):
        return f"There are {len(rows)} results:\n" + "\n".join(f"- {line}" for line in shown)
    return f"{len(rows)} results: {'; '.join(shown)}."


def _guess(draw: Draw) -> str:
    thing = draw.pick((draw.pick(PEOPLE), draw.pick(CITIES), str(draw.whole(2, 99))))
    return draw.pick(("It is probably {}.", "Clearly {}.", "The answer is {}.")).format(thing)


def _filled(text: str, values: dict[str, str]) -> str:
    for key, value in values.items():
        text = text.replace(key, value)
    return text
