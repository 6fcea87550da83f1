"""Connections to PostgreSQL: a broken one is replaced, a warm one is used before a cold one."""

from __future__ import annotations

import os
import socket

import psycopg

from chatbot.store.db import Database
from chatbot_house import APP_ROLE, Chatbot

END_ALL = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = %s AND datname = current_database()
"""


async def test_connections_that_broke_while_idle_are_replaced(chatbot: Chatbot, superuser_url: str) -> None:
    """No connection is tried before it is used; still the next question is answered and kept."""
    await chatbot.ask("When is a refund possible?")
    for question in ("Until when is a refund possible?", "When is a refund possible?"):
        with psycopg.connect(superuser_url, autocommit=True) as conn:
            row = conn.execute(END_ALL, (APP_ROLE,)).fetchone()
        assert row is not None
        assert row[0] >= 1
        status, events, _ = await chatbot.ask(question)
        assert status == 200
        assert events[-1][1]["conversation_id"]


async def test_the_connection_that_was_used_last_is_used_next(app_url: str) -> None:
    """Its process has its plans at hand; three that are used in turn would be cold each time."""
    async with Database(app_url, size=3, application="test", checked=False) as db:
        async with db.system(), db.system(), db.system():
            assert db.use().in_use == 3
        used = set[int]()
        for _ in range(6):
            async with db.system() as conn:
                used.add(conn.info.backend_pid)
    assert len(used) == 1


async def test_an_idle_connection_says_every_minute_that_it_is_there(app_url: str) -> None:
    """A firewall between forgets what is silent, and the next question would wait for an answer that never comes."""
    async with Database(app_url, size=1, application="test", checked=False) as db, db.system() as conn:
        with socket.socket(fileno=os.dup(conn.fileno())) as wire:
            assert wire.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
