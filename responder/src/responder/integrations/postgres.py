"""The database that runbooks speak of: read as one role, changed as another. Does not know the responder's own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import psycopg
from psycopg import AsyncConnection

from responder.core.source import Table
from responder.errors import SourceRefused, SourceUnavailable

CONNECT_SECONDS = 3
# What is kept of an answer: enough to read.
ROWS = 100
CELL = 300


class TargetDatabase:
    """`read_url` is of a role that can only look (pg_monitor), `write_url` of one that may do what remedies do."""

    def __init__(self, read_url: str | None, write_url: str | None) -> None:
        self._read_url = read_url
        self._write_url = write_url

    async def query(self, sql: str, values: Mapping[str, str], *, timeout: timedelta) -> Table:
        """The first rows of one SELECT, in a READ ONLY transaction. Raises SourceError.

        It is fetched through a cursor, which PostgreSQL declares for nothing but a SELECT, and which never holds more rows
        in memory than are kept.
        """
        if self._read_url is None:
            raise SourceRefused(
                "no database to read: set RESPONDER_TARGET_READ_URL to a role with pg_monitor"
            )
        return await self._run(self._read_url, sql, values, timeout=timeout, read_only=True)

    async def change(self, sql: str, values: Mapping[str, str], *, timeout: timedelta) -> Table:
        """One statement of an approved remedy, committed. Raises SourceError."""
        if self._write_url is None:
            raise SourceRefused("no database to change: set RESPONDER_TARGET_WRITE_URL")
        return await self._run(self._write_url, sql, values, timeout=timeout, read_only=False)

    async def _run(
        self, url: str, sql: str, values: Mapping[str, str], *, timeout: timedelta, read_only: bool
    ) -> Table:
        milliseconds = max(1, int(timeout.total_seconds() * 1000))
        options = f"-c statement_timeout={milliseconds} -c default_transaction_read_only={'on' if read_only else 'off'}"
        # Values go beside the text, never into it; a text without any is sent as it is.
        text, given = sql.strip().rstrip(";").encode(), dict(values) or None
        try:
            async with await AsyncConnection.connect(
                url, connect_timeout=CONNECT_SECONDS, options=options, application_name="responder"
            ) as conn:
                cursor: Any = conn.cursor(name="evidence") if read_only else conn.cursor()
                async with cursor:
                    # A prepared statement can only be one; a declared cursor only a SELECT.
                    await cursor.execute(text, given, **({} if read_only else {"prepare": True}))
                    rows: list[tuple[Any, ...]] = (
                        await cursor.fetchmany(ROWS + 1) if cursor.description else []
                    )
                    columns = tuple(column.name for column in cursor.description or ())
                    return Table(
                        columns=columns,
                        rows=tuple(tuple(_cell(value) for value in row) for row in rows[:ROWS]),
                        cut=len(rows) > ROWS,
                    )
        except psycopg.OperationalError as error:
            if isinstance(error, psycopg.errors.QueryCanceled):
                raise SourceUnavailable(
                    f"the query gave no answer within {timeout.total_seconds():g} s"
                ) from error
            raise SourceUnavailable(f"the database cannot be reached: {_first_line(error)}") from error
        except psycopg.Error as error:
            raise SourceRefused(f"the database refuses: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:160]


def _cell(value: Any) -> str | None:
    return None if value is None else str(value)[:CELL]
