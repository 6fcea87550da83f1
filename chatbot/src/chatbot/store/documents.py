"""A tenant's documents and passages. Every statement names the tenant too: row-level security is the wall, this the door."""

from __future__ import annotations

from collections.abc import Iterable

from chatbot.core.passage import Passage, TenantId
from chatbot.store.db import Conn


async def replace(conn: Conn, tenant_id: TenantId, *, title: str, passages: Iterable[tuple[str, str]]) -> int:
    """Puts a document in place of the one with the same title; returns how many passages it has."""
    await conn.execute("DELETE FROM documents WHERE tenant_id = %s AND title = %s", (tenant_id, title))
    cursor = await conn.execute(
        "INSERT INTO documents (tenant_id, title) VALUES (%s, %s) RETURNING id", (tenant_id, title)
    )
    document_id = (await cursor.fetchall())[0]["id"]
    count = 0
    for count, (heading, text) in enumerate(passages, start=1):
        await conn.execute(
            "INSERT INTO passages (tenant_id, document_id, position, heading, text) VALUES (%s, %s, %s, %s, %s)",
            (tenant_id, document_id, count, heading, text),
        )
    return count


async def search(conn: Conn, tenant_id: TenantId, question: str, *, limit: int) -> list[Passage]:
    """The passages that share words with the question, best first."""
    cursor = await conn.execute(
        """
        WITH asked AS (
            SELECT to_tsquery('english', string_agg(quote_literal(lexeme), ' | ')) AS query
            FROM unnest(to_tsvector('english', %(question)s))
        )
        SELECT p.id, p.tenant_id, d.title AS document, p.heading, p.text
        FROM passages p JOIN documents d ON d.tenant_id = p.tenant_id AND d.id = p.document_id, asked
        WHERE p.tenant_id = %(tenant_id)s AND p.words @@ asked.query
        ORDER BY ts_rank(p.words, asked.query) DESC, p.id
        LIMIT %(limit)s
        """,
        {"question": question, "tenant_id": tenant_id, "limit": limit},
    )
    return [Passage(**row) for row in await cursor.fetchall()]
