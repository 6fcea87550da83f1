"""SQL of the runbook: evidence read through a role that can only look, remedies through one that may do what they say."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from house import House
from responder.errors import SourceRefused, SourceUnavailable
from responder.integrations.postgres import ROWS, TargetDatabase

SECOND = timedelta(seconds=1)


@pytest.fixture
async def exhausted(
    responder_database: str, make_database: Callable[..., Any], tmp_path: Path
) -> AsyncGenerator[House]:
    """The house, whose target is a database of its own."""
    with make_database() as target:
        async with House(responder_database, tmp_path, target) as house:
            yield house


@contextmanager
def session(url: str) -> Generator[int]:
    """A session that idles in a transaction, as one that a leak leaves; its process id."""
    with psycopg.connect(url) as conn:
        pid = conn.info.backend_pid
        conn.execute("SELECT 1")
        yield pid
        conn.close()


async def test_statements_of_a_diagnosis_are_evidence(exhausted: House) -> None:
    """The runbook's own questions are put to the database when the alert arrives, and the answers stand in the incident."""
    await exhausted.fire("DatabaseConnectionPoolExhausted")
    await exhausted.work()
    evidence = (await exhausted.incident())["evidence"]
    asked = [item for item in evidence if item["kind"] == "sql"]
    assert len(asked) == 4
    assert {item["outcome"] for item in asked} <= {"ok", "empty"}
    limits = next(item for item in asked if "max_connections" in item["text"])
    assert "max_connections" in limits["verdict"]


async def test_a_remedy_in_sql_is_seen_approved_run_and_verified(exhausted: House) -> None:
    """Preview lists what would end; after approval the statement runs once, and the check finds nothing left over."""
    await exhausted.fire("DatabaseConnectionPoolExhausted")
    await exhausted.work()
    await exhausted.press(exhausted.world.pages[0]["ack_url"])
    remedy = next(r for r in (await exhausted.incident())["remediations"] if r["runnable"])
    path = f"/api/incidents/INC-1/remediations/{remedy['id']}"
    await exhausted.as_person("alice", "POST", f"{path}/preview")
    await exhausted.work()
    seen = next(r for r in (await exhausted.incident())["remediations"] if r["id"] == remedy["id"])
    assert "pg_terminate_backend" in seen["preview"]["would_run"][0]
    await exhausted.as_person("alice", "POST", f"{path}/approve", digest=seen["digest"])
    await exhausted.work()
    await exhausted.work()
    done = next(r for r in (await exhausted.incident())["remediations"] if r["id"] == remedy["id"])
    assert done["state"] == "verified"
    assert any("left_over = 0" in line for line in await exhausted.told())


async def test_the_session_that_leaks_is_ended_and_no_other(database_url: str) -> None:
    """The guards of the statement: idle in a transaction, a client, not itself."""
    target = TargetDatabase(database_url, database_url)
    with (
        session(database_url) as leaked,
        psycopg.connect(database_url, autocommit=True) as well,
    ):
        guarded = (
            "SELECT pid, pg_terminate_backend(pid) AS ended FROM pg_stat_activity WHERE backend_type = 'client backend'"
            " AND pid <> pg_backend_pid() AND state = 'idle in transaction' AND datname = current_database()"
        )
        ended = await target.change(guarded, {}, timeout=5 * SECOND)
        assert [row[0] for row in ended.rows] == [str(leaked)]
        assert well.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE x (a int)",
        "WITH made AS (SELECT 1) INSERT INTO tenants SELECT * FROM made",
        "SELECT 1; CREATE TABLE x (a int)",
        "SET default_transaction_read_only = off",
        "COPY (SELECT 1) TO PROGRAM 'true'",
    ],
)
async def test_the_door_for_looking_lets_nothing_else_through(database_url: str, statement: str) -> None:
    """Even what no judge has looked at: a cursor is declared for one SELECT, in a transaction that cannot write."""
    target = TargetDatabase(database_url, None)
    with pytest.raises(SourceRefused, match="the database refuses"):
        await target.query(statement, {}, timeout=SECOND)
    with psycopg.connect(database_url) as conn:
        assert conn.execute("SELECT to_regclass('x')").fetchone() == (None,)


async def test_a_long_answer_is_cut_and_a_slow_one_given_up(database_url: str) -> None:
    """A million rows cost no memory; a query that hangs ends with its time."""
    target = TargetDatabase(database_url, None)
    table = await target.query("SELECT n FROM generate_series(1, 1000000) AS n", {}, timeout=5 * SECOND)
    assert (len(table.rows), table.cut) == (ROWS, True)
    with pytest.raises(SourceUnavailable, match=r"within 0\.2 s"):
        await target.query("SELECT pg_sleep(10)", {}, timeout=0.2 * SECOND)


async def test_values_never_enter_the_text(database_url: str) -> None:
    """A value that would be SQL is a text like any other."""
    target = TargetDatabase(database_url, None)
    evil = "'; DROP TABLE incidents; --"
    table = await target.query("SELECT %(who)s::text AS who", {"who": evil}, timeout=SECOND)
    assert table.rows == ((evil,),)


async def test_without_an_address_the_step_says_what_to_set() -> None:
    """Refused, with the variable's name."""
    with pytest.raises(SourceRefused, match="RESPONDER_TARGET_READ_URL"):
        await TargetDatabase(None, None).query("SELECT 1", {}, timeout=SECOND)
    with pytest.raises(SourceUnavailable, match="cannot be reached"):
        await TargetDatabase("postgresql://127.0.0.1:1/x", None).query("SELECT 1", {}, timeout=SECOND)
