"""A restart of PostgreSQL, or a proxy that closes what is idle, is nobody's failed question."""

from __future__ import annotations

import psycopg

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
