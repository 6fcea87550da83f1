"""Questions and answers as they were given."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from psycopg.types.json import Jsonb

from chatbot.core.answers import Kind
from chatbot.core.passages import Passage
from chatbot.core.tenancy import TenantId
from chatbot.errors import NotFound
from chatbot.store.db import Conn


async def begin_conversation(conn: Conn, tenant_id: TenantId) -> UUID:
    """A new conversation's id."""
    cursor = await conn.execute(
        "INSERT INTO conversations (tenant_id) VALUES (%s) RETURNING id", (tenant_id,)
    )
    row = await cursor.fetchone()
    return row["id"] if row else UUID(int=0)


async def owner_of_conversation(conn: Conn, tenant_id: TenantId, conversation_id: UUID) -> TenantId:
    """The tenant that the row itself names, for the detector. Raises NotFound unless this tenant has the conversation."""
    cursor = await conn.execute(
        "SELECT tenant_id FROM conversations WHERE tenant_id = %s AND id = %s", (tenant_id, conversation_id)
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(
            f"There is no conversation {conversation_id}.", remedy="Leave conversation_id out to begin one."
        )
    return TenantId(row["tenant_id"])


async def add_exchange(
    conn: Conn,
    tenant_id: TenantId,
    conversation_id: UUID,
    *,
    question: str,
    answer: str,
    kind: Kind,
    passages: Sequence[Passage],
) -> None:
    """Keeps a question with its answer and the passages that the answer could cite."""
    sources = Jsonb([str(passage.passage_id) for passage in passages])
    await conn.execute(
        "INSERT INTO messages (tenant_id, conversation_id, role, content) VALUES (%s, %s, 'user', %s)",
        (tenant_id, conversation_id, question),
    )
    await conn.execute(
        "INSERT INTO messages (tenant_id, conversation_id, role, content, kind, sources)"
        " VALUES (%s, %s, 'assistant', %s, %s, %s)",
        (tenant_id, conversation_id, answer, kind, sources),
    )
