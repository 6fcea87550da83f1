"""The audit log."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from chatbot.core.audit import AuditEntry, AuditEvent
from chatbot.store.audit import record
from chatbot.store.db import Database


async def fill(app_url: str, count: int) -> None:
    async with Database(app_url, size=4, application="test") as db:
        await db.verify()
        entry = AuditEntry(event=AuditEvent.AUTH_FAILURE, actor="unknown", ip="192.0.2.7")
        await asyncio.gather(*(record(db, entry) for _ in range(count)))


@pytest.mark.parametrize(
    "verb", ["UPDATE audit_logs SET actor = 'me'", "DELETE FROM audit_logs", "TRUNCATE audit_logs"]
)
async def test_nobody_changes_an_entry(superuser_url: str, app_url: str, verb: str) -> None:
    """Neither the serving role nor a superuser's slip changes, deletes or empties it."""
    await fill(app_url, 1)
    for url in (app_url, superuser_url):
        with psycopg.connect(url) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute(verb)


async def test_entries_written_at_once_form_one_chain(superuser_url: str, app_url: str) -> None:
    """Concurrent entries get gapless positions, and each hash covers the one before."""
    await fill(app_url, 20)
    with psycopg.connect(superuser_url) as conn:
        rows = conn.execute(
            "SELECT id, previous_hash, hash, hash = audit_hash(audit_logs) FROM audit_logs ORDER BY id"
        ).fetchall()
        head = conn.execute("SELECT length, head FROM audit_chain").fetchone()
    assert [row[0] for row in rows] == list(range(1, 21))
    assert all(row[3] for row in rows)
    assert [row[1] for row in rows[1:]] == [row[2] for row in rows[:-1]]
    assert head == (20, rows[-1][2])


async def test_a_forged_entry_breaks_the_chain(superuser_url: str, app_url: str) -> None:
    """Whoever switches the triggers off and rewrites an entry is found out by its hash."""
    await fill(app_url, 3)
    with psycopg.connect(superuser_url) as conn:
        conn.execute("ALTER TABLE audit_logs DISABLE TRIGGER USER")
        conn.execute("UPDATE audit_logs SET actor = 'nobody' WHERE id = 2")
        broken = conn.execute("SELECT id FROM audit_logs WHERE hash <> audit_hash(audit_logs)").fetchall()
    assert broken == [(2,)]


def test_the_serving_role_chooses_neither_time_nor_hash(app_url: str) -> None:
    """An entry cannot be dated back or given a hash by whoever writes it."""
    for column in ("created_at", "hash", "id"):
        with psycopg.connect(app_url) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute(f"INSERT INTO audit_logs (event_type, actor, {column}) VALUES ('e', 'a', NULL)")  # noqa: S608
