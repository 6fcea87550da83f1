"""Plans are kept for every tenant alike; none may read all that a large one has where a few rows are wanted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, LiteralString

import psycopg
import psycopg.sql
import pytest

from chatbot.core.tenancy import TenantId
from chatbot_house import Chatbot

MANY = 4_000
# Behind the first few executions a kept plan may take the place of one that was made for the values.
OFTEN = 8
FILL: tuple[LiteralString, ...] = (
    # Others, so that a tenant of middling size is a small one.
    "INSERT INTO tenants (id, name) SELECT gen_random_uuid(), 'small-' || n FROM generate_series(1, 500) AS n",
    "INSERT INTO conversations (tenant_id, id, owner) SELECT id, gen_random_uuid(), 'key x' FROM tenants",
    "INSERT INTO documents (tenant_id, id, title, source) SELECT id, gen_random_uuid(), 'filled', 'upload' FROM tenants",
    # To whoever plans for all, a document of a tenant is one of a few passages.
    "INSERT INTO passages (tenant_id, document_id, revision, position, heading, text, embedding)"
    " SELECT tenant_id, id, 1, n, 'h', 'a text', array_fill(0.05, ARRAY[384])::real[]::halfvec"
    " FROM documents, generate_series(1, CASE tenant_id WHEN %(tenant)s THEN %(many)s ELSE 1 END) AS n WHERE title = 'filled'",
    "INSERT INTO conversations (tenant_id, id, owner) SELECT %(tenant)s, gen_random_uuid(), 'key x'"
    " FROM generate_series(1, %(many)s)",
    "ANALYZE",
)
KEPT = """
SELECT keep_exchanges(%(tenant)s, '2026-01-01', 0, 0, jsonb_build_array(jsonb_build_object(
       'conversation_id', %(id)s::uuid, 'question_id', gen_random_uuid(), 'answer_id', gen_random_uuid(), 'question', 'q',
       'answer', 'a', 'kind', 'generated', 'sources', '[]'::jsonb, 'prompt_tokens', 1, 'completion_tokens', 1)))
"""
BEST = "SELECT count(title) FROM best_passages(%(tenant)s, NULL, ARRAY[%(id)s]::uuid[], NULL, 40, 8, 'm', '')"
READ = """
SELECT relname, seq_tup_read + coalesce(idx_tup_fetch, 0) AS rows FROM pg_stat_xact_user_tables
 WHERE relname = ANY (%s)
"""


@pytest.fixture
def filled(chatbot: Chatbot, superuser_url: str) -> TenantId:
    """Acme, with thousands of conversations, and a document of thousands of passages."""
    tenant = chatbot.tenants["acme"].tenant_id
    with psycopg.connect(superuser_url, autocommit=True) as conn:
        conn.execute("SET session_replication_role = replica")
        for statement in FILL:
            conn.execute(statement, {"tenant": tenant, "many": MANY})
    return tenant


@pytest.mark.parametrize(
    ("statement", "of"), [(KEPT, "conversations"), (BEST, "passages")], ids=["kept", "best"]
)
async def test_a_few_rows_cost_a_few(
    chatbot: Chatbot, filled: TenantId, superuser_url: str, statement: LiteralString, of: LiteralString
) -> None:
    """Going on with a conversation, and reading a passage that was found, do not look at all the others."""
    with psycopg.connect(superuser_url) as conn:
        row = conn.execute(
            psycopg.sql.SQL("SELECT id FROM {} WHERE tenant_id = %s LIMIT 1").format(
                psycopg.sql.Identifier(of)
            ),
            (filled,),
        ).fetchone()
    assert row is not None
    values: Mapping[str, Any] = {"tenant": filled, "id": row[0]}
    async with chatbot.parts.database.tenant(filled) as conn:
        for _ in range(OFTEN):
            found = await (await conn.execute(statement, values)).fetchall()
            assert len(found) == 1
        cursor = await conn.execute(READ, (["conversations", "passages", "documents"],))
        read = {row["relname"]: row["rows"] for row in await cursor.fetchall()}
    assert 0 < read[of] < 10 * OFTEN
    assert sum(read.values()) < 20 * OFTEN
