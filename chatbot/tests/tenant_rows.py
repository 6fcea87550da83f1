"""Makes a row of any tenant table from what the catalogue says of it, so that a new table is tested the day it lands.

Parents first, along the foreign keys; each column by its type; what a CHECK refuses is tried with its own literals.
A table whose row cannot be made fails loudly: give its columns in HINTS.
"""

from __future__ import annotations

import itertools
import json
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg import Connection, sql
from psycopg.rows import dict_row

from chatbot.store.catalogue import FACTS, PARAMETERS

ATTEMPTS = 400
# Where types and CHECKs do not say enough: table -> column -> a function that makes a value.
HINTS: Mapping[str, Mapping[str, Callable[[], Any]]] = {}

COLUMNS = """
SELECT a.attname AS name, format_type(a.atttypid, NULL) AS type, format_type(a.atttypid, a.atttypmod) AS full_type,
       a.attnotnull AS needed, a.atthasdef OR a.attidentity <> '' OR a.attgenerated <> '' AS made,
       a.attgenerated <> '' AS generated,
       (SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid) AS labels
  FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
 WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
CONSTRAINTS = """
SELECT c.conname AS name, c.contype AS kind, pg_get_constraintdef(c.oid) AS text, c.confrelid::regclass::text AS target,
       (SELECT array_agg(a.attname::text ORDER BY k.place) FROM unnest(c.conkey) WITH ORDINALITY AS k (number, place)
          JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number) AS columns,
       (SELECT array_agg(a.attname::text ORDER BY k.place) FROM unnest(c.confkey) WITH ORDINALITY AS k (number, place)
          JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.number) AS target_columns
  FROM pg_constraint c WHERE c.conrelid = %s::regclass AND c.contype IN ('c', 'f') ORDER BY c.conname
"""


class RowCannotBeMade(AssertionError):
    """Says which table, why, and where to add what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    name: str
    type: str
    full_type: str
    needed: bool
    made: bool
    generated: bool
    labels: list[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A tenant table as the catalogue knows it."""

    name: str
    key: str
    columns: Mapping[str, Column]
    checks: list[dict[str, Any]]
    foreign: list[dict[str, Any]]


@dataclass
class RowMaker:
    """Makes rows as a superuser, whom no policy binds."""

    conn: Connection[dict[str, Any]]
    tables: dict[str, Table] = field(default_factory=dict)
    rows: dict[tuple[str, UUID], dict[str, Any]] = field(default_factory=dict)
    _chosen: dict[str, dict[str, Callable[[], Any]]] = field(default_factory=dict)
    _database: str = ""

    def __post_init__(self) -> None:
        self._database = self.conn.info.dbname

    @classmethod
    def over(cls, url: str) -> RowMaker:
        maker = cls(psycopg.connect(url, autocommit=True, row_factory=dict_row))
        facts = maker.conn.execute(FACTS, PARAMETERS).fetchone()
        assert facts is not None
        for fact in facts["tables"]:
            maker.tables[fact["name"]] = maker._read(fact["name"], fact["key"])
        return maker

    def _read(self, name: str, key: str) -> Table:
        columns = self.conn.execute(COLUMNS, (name,)).fetchall()
        constraints = self.conn.execute(CONSTRAINTS, (name,)).fetchall()
        return Table(
            name=name,
            key=key,
            columns={each["name"]: Column(**each) for each in columns},
            checks=[each for each in constraints if each["kind"] == "c"],
            foreign=[each for each in constraints if each["kind"] == "f"],
        )

    @property
    def database(self) -> str:
        """The name of the database, also after the connection is closed."""
        return self._database

    def at(self, url: str) -> RowMaker:
        """The same over a copy of the database, which holds the same rows."""
        conn = psycopg.connect(url, autocommit=True, row_factory=dict_row)
        return replace(self, conn=conn, rows=dict(self.rows), _chosen=self._chosen)

    def row(self, table: str, tenant: UUID) -> dict[str, Any]:
        """The tenant's row of the table, made with its parents if it is not there."""
        if (table, tenant) not in self.rows:
            self.rows[table, tenant] = self._make(self.tables[table], tenant)
        return self.rows[table, tenant]

    def fresh(self, table: str, tenant: UUID) -> dict[str, Any]:
        """Values for another row, which nobody has stored. Call `row` first."""
        self.row(table, tenant)
        return self._values(self.tables[table], tenant)

    def _make(self, table: Table, tenant: UUID) -> dict[str, Any]:
        self._chosen[table.name] = {
            name: next(iter(_candidates(table, column)))
            for name, column in table.columns.items()
            if column.needed and not column.made
        }
        tries: dict[str, Iterator[tuple[Any, ...]]] = {}
        why: Exception | None = None
        for _ in range(ATTEMPTS):
            try:
                return self._insert(table, self._values(table, tenant))
            except psycopg.errors.CheckViolation as error:
                why = error
                if not self._try_others(table, str(error.diag.constraint_name), tries):
                    break
            except psycopg.errors.NotNullViolation as error:
                why = error
                column = table.columns[str(error.diag.column_name)]
                self._chosen[table.name][column.name] = next(iter(_candidates(table, column)))
        raise RowCannotBeMade(
            f"no row could be made for table {table.name}: {why} Give the columns in HINTS of {__file__}."
        )

    def _try_others(self, table: Table, constraint: str, tries: dict[str, Iterator[tuple[Any, ...]]]) -> bool:
        """Chooses the next values for the columns of the CHECK; False when there are none left."""
        columns = [
            name
            for check in table.checks
            if check["name"] == constraint
            for name in check["columns"]
            if name != table.key
        ]
        if constraint not in tries:
            tries[constraint] = itertools.product(
                *(_candidates(table, table.columns[name]) for name in columns)
            )
        chosen = next(tries[constraint], None)
        if chosen is not None:
            self._chosen[table.name].update(zip(columns, chosen, strict=True))
        return chosen is not None

    def _values(self, table: Table, tenant: UUID) -> dict[str, Any]:
        values = {name: make() for name, make in self._chosen[table.name].items()}
        values[table.key] = tenant
        for foreign in table.foreign:
            needed = [name for name in foreign["columns"] if table.columns[name].needed]
            if len(needed) < len(foreign["columns"]) or foreign["target"] not in self.tables:
                continue  # one that may be null stays null
            parent = self.row(foreign["target"], tenant)
            values.update(
                {
                    here: parent[there]
                    for here, there in zip(foreign["columns"], foreign["target_columns"], strict=True)
                }
            )
        return values

    def _insert(self, table: Table, values: dict[str, Any]) -> dict[str, Any]:
        statement = sql.SQL("{} RETURNING *").format(insert_of(table.name, values))
        row = self.conn.execute(statement, values).fetchone()
        assert row is not None
        return row

    def fingerprint(self, table: str, tenant: UUID) -> str:
        """Changes when any of the tenant's rows does."""
        statement = sql.SQL(
            "SELECT count(*) || md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) AS mark FROM {} t WHERE {} = %s"
        ).format(sql.Identifier(table), sql.Identifier(self.tables[table].key))
        row = self.conn.execute(statement, (tenant,)).fetchone()
        assert row is not None
        return row["mark"]


def insert_of(table: str, values: Mapping[str, Any]) -> sql.Composed:
    """INSERT with a placeholder for each value."""
    return sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, values)),
        sql.SQL(", ").join(map(sql.Placeholder, values)),
    )


def _candidates(table: Table, column: Column) -> Iterator[Callable[[], Any]]:
    """Ways to make a value, the likeliest first."""
    if hint := HINTS.get(table.name, {}).get(column.name):
        yield hint
        return
    texts = [check["text"] for check in table.checks if column.name in (check["columns"] or [])]
    literals = [each for text in texts for each in re.findall(r"'((?:[^']|'')*)'::", text)]
    numbers = [int(each) for text in texts for each in re.findall(r"\b(\d{1,6})\b", text)]
    yield from _by_type(column, literals, numbers)
    if not column.needed:
        yield lambda: None


def _by_type(column: Column, literals: list[str], numbers: list[int]) -> Iterator[Callable[[], Any]]:
    if column.labels:
        yield from (lambda label=label: label for label in column.labels)
    elif column.type in {"text", "character varying", "citext"}:
        yield from (lambda literal=literal: literal for literal in literals)
        yield lambda: f"x{secrets.token_hex(6)}"
        yield lambda: f"{secrets.token_hex(6)}@example.com"
        yield lambda: f"https://{secrets.token_hex(6)}.example.com"
        yield from (lambda number=number: secrets.token_hex(number)[:number] for number in numbers)
    elif column.type == "bytea":
        yield from (lambda number=number: secrets.token_bytes(number) for number in [*numbers, 32])
    elif column.type in {"smallint", "integer", "bigint", "numeric", "real", "double precision"}:
        yield from (lambda number=number: number for number in [1, 0, *numbers])
        yield lambda: secrets.randbelow(30_000)
    elif column.type == "vector" or column.type == "halfvec":
        size = int(re.findall(r"\d+", column.full_type)[0])
        yield lambda: json.dumps([1.0] + [0.0] * (size - 1))
    elif column.type.endswith("[]"):
        yield lambda: []
        yield lambda: ["x"]
    elif column.type in _PLAIN:
        yield from _PLAIN[column.type]
    else:
        raise RowCannotBeMade(
            f"no value is known for type {column.type} (column {column.name}): add it to _PLAIN"
        )


_PLAIN: Mapping[str, tuple[Callable[[], Any], ...]] = {
    "uuid": (uuid4,),
    "boolean": (lambda: True, lambda: False),
    "jsonb": (lambda: "{}", lambda: "[]"),
    "json": (lambda: "{}", lambda: "[]"),
    "timestamp with time zone": (lambda: "2026-03-02T03:00:00Z", lambda: "2099-01-01T00:00:00Z"),
    "date": (lambda: "2026-03-02",),
    "interval": (lambda: "1 hour",),
    "inet": (lambda: "192.0.2.7",),
    "cidr": (lambda: "192.0.2.0/24",),
    "tsvector": (lambda: "x",),
}
