"""Documents and their passages."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from chatbot.core.passages import Passage, Piece
from chatbot.core.tenancy import TenantId
from chatbot.store.db import Conn

# Any word of the question may match; the rank says how well. The literal tenant_id is for the planner: a policy
# alone hides the tenant from it, and the plan gets slow by a factor of eighty.
SEARCH = """
WITH question AS (
    SELECT replace(plainto_tsquery('english', %(question)s)::text, '&', '|')::tsquery AS words
)
SELECT p.tenant_id, p.id, p.document_id, d.title, p.heading, p.text
  FROM question, passages p
  JOIN documents d ON d.tenant_id = p.tenant_id AND d.id = p.document_id
 WHERE p.tenant_id = %(tenant_id)s AND d.tenant_id = %(tenant_id)s AND p.words @@ question.words
 ORDER BY ts_rank_cd(p.words, question.words, 1) DESC, p.document_id, p.position
 LIMIT %(limit)s
"""


async def replace_document(
    conn: Conn, tenant_id: TenantId, *, title: str, sha256: bytes, pieces: Sequence[Piece]
) -> UUID:
    """Stores the document with its passages in place of the one of the same title. Returns its id."""
    await conn.execute("DELETE FROM documents WHERE tenant_id = %s AND title = %s", (tenant_id, title))
    cursor = await conn.execute(
        "INSERT INTO documents (tenant_id, title, sha256) VALUES (%s, %s, %s) RETURNING id",
        (tenant_id, title, sha256),
    )
    row = await cursor.fetchone()
    document_id: UUID = row["id"] if row else UUID(int=0)
    async with conn.cursor() as many:
        await many.executemany(
            "INSERT INTO passages (tenant_id, document_id, position, heading, text) VALUES (%s, %s, %s, %s, %s)",
            [
                (tenant_id, document_id, position, piece.heading, piece.text)
                for position, piece in enumerate(pieces)
            ],
        )
    return document_id


async def search_passages(conn: Conn, tenant_id: TenantId, question: str, *, limit: int) -> list[Passage]:
    """The passages that share words with the question, best first."""
    cursor = await conn.execute(SEARCH, {"question": question, "tenant_id": tenant_id, "limit": limit})
    return [
        Passage(
            tenant_id=TenantId(row["tenant_id"]),
            passage_id=row["id"],
            document_id=row["document_id"],
            title=row["title"],
            heading=row["heading"],
            text=row["text"],
        )
        for row in await cursor.fetchall()
    ]
