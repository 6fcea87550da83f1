"""Questions and answers as they were given. A conversation belongs to whoever began it: `owner` is in every statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import orjson
from psycopg.errors import UniqueViolation

from chatbot.core.answers import Kind, Usage
from chatbot.core.history import LONGEST_TURNS, Recalled, Turn
from chatbot.core.passages import Passage
from chatbot.core.tenancy import TenantId
from chatbot.errors import NotFound
from chatbot.store.db import Conn, Database

LISTED = 50
SHOWN_MESSAGES = 500

# The passages as they are now: of one that was deleted only its number and its id are left.
MESSAGES = """
SELECT m.tenant_id, m.role, m.content, m.kind, m.created_at,
       (SELECT coalesce(jsonb_agg(jsonb_build_object(
                   'number', s.number, 'id', s.id, 'document_id', p.document_id, 'title', d.title, 'heading', p.heading)
                   ORDER BY s.number), '[]')
          FROM jsonb_array_elements_text(m.sources) WITH ORDINALITY AS s (id, number)
          LEFT JOIN passages p ON p.tenant_id = %(tenant_id)s AND p.id = s.id::uuid
          LEFT JOIN documents d ON d.tenant_id = %(tenant_id)s AND d.id = p.document_id) AS sources
  FROM messages m
 WHERE m.tenant_id = %(tenant_id)s AND m.conversation_id = %(conversation_id)s
 ORDER BY m.created_at, m.role DESC LIMIT %(limit)s
"""

CONVERSATIONS = """
SELECT c.tenant_id, c.id, c.created_at, first.content AS question
  FROM conversations c
  LEFT JOIN LATERAL (
       SELECT m.content FROM messages m
        WHERE m.tenant_id = %(tenant_id)s AND m.conversation_id = c.id AND m.role = 'user'
        ORDER BY m.created_at LIMIT 1) AS first ON true
 WHERE c.tenant_id = %(tenant_id)s AND c.owner = %(owner)s
 ORDER BY c.created_at DESC, c.id LIMIT %(limit)s
"""

TURNS = """
SELECT tenant_id, role, content FROM messages WHERE tenant_id = %s AND conversation_id = %s
 ORDER BY created_at DESC, role LIMIT %s
"""

EXCHANGES = """
SELECT keep_exchanges(%(tenant_id)s, %(day)s, %(requests)s, %(tokens)s, %(exchanges)s) AS conversation_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A conversation in a list: its first question stands for it."""

    tenant_id: TenantId
    conversation_id: UUID
    created_at: datetime
    question: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A question with its answer and the passages that the answer could cite, as ids in the order of their numbers."""

    question: str
    answer: str
    kind: Kind
    usage: Usage
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An exchange on its way into a conversation: a new one of this owner, or, without an owner, one that there is.

    `requests` and `tokens` are what it adds to the day's use. Its ids are made here, so that it is kept once, however
    often it is sent.
    """

    conversation_id: UUID
    owner: str | None
    exchange: Exchange
    requests: int
    tokens: int
    question_id: UUID = field(default_factory=uuid4)
    answer_id: UUID = field(default_factory=uuid4)


def source_ids(passages: Sequence[Passage]) -> tuple[str, ...]:
    """The ids that an exchange keeps."""
    return tuple(str(passage.passage_id) for passage in passages)


async def keep_exchanges(
    database: Database, tenant_id: TenantId, kept: Sequence[Kept], *, day: date
) -> set[UUID]:
    """Keeps exchanges and counts what they cost on the day, all or nothing: the conversations that there were to keep them.

    Raises StoreUnavailable.
    """
    values = {
        "tenant_id": tenant_id,
        "day": day,
        "requests": sum(each.requests for each in kept),
        "tokens": sum(each.tokens for each in kept),
        "exchanges": orjson.dumps([_stored(each) for each in kept]).decode(),
    }
    try:
        (rows,) = await database.at_once(tenant_id, (EXCHANGES, values))
    except UniqueViolation:
        # The connection broke when all was done, and it was sent again.
        return {each.conversation_id for each in kept}
    return {row["conversation_id"] for row in rows}


def _stored(kept: Kept) -> dict[str, Any]:
    exchange = kept.exchange
    return {
        "conversation_id": kept.conversation_id,
        "owner": kept.owner,
        "question_id": kept.question_id,
        "answer_id": kept.answer_id,
        "question": exchange.question,
        "answer": exchange.answer,
        "kind": exchange.kind,
        "sources": exchange.sources,
        "prompt_tokens": exchange.usage.prompt_tokens,
        "completion_tokens": exchange.usage.completion_tokens,
    }


async def owner_of_conversation(
    conn: Conn, tenant_id: TenantId, conversation_id: UUID, *, owner: str
) -> TenantId:
    """The tenant that the row itself names, for the detector. Raises NotFound unless the owner has the conversation."""
    cursor = await conn.execute(
        "SELECT tenant_id FROM conversations WHERE tenant_id = %s AND id = %s AND owner = %s",
        (tenant_id, conversation_id, owner),
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(
            f"There is no conversation {conversation_id} of yours.",
            remedy="Leave conversation_id out to begin one.",
        )
    return TenantId(row["tenant_id"])


async def turns_of(conn: Conn, tenant_id: TenantId, conversation_id: UUID) -> Recalled:
    """The newest turns, oldest first."""
    cursor = await conn.execute(TURNS, (tenant_id, conversation_id, 2 * LONGEST_TURNS))
    rows = list(reversed(await cursor.fetchall()))
    turns = tuple(
        Turn(question=asked["content"], answer=answered["content"])
        for asked, answered in pairwise(rows)
        if (asked["role"], answered["role"]) == ("user", "assistant")
    )
    return Recalled(turns=turns, owners=tuple(TenantId(row["tenant_id"]) for row in rows))


async def conversations_of(conn: Conn, tenant_id: TenantId, *, owner: str) -> list[Listed]:
    """The owner's conversations, the newest first, LISTED at most."""
    cursor = await conn.execute(CONVERSATIONS, {"tenant_id": tenant_id, "owner": owner, "limit": LISTED})
    return [
        Listed(
            tenant_id=TenantId(row["tenant_id"]),
            conversation_id=row["id"],
            created_at=row["created_at"],
            question=row["question"],
        )
        for row in await cursor.fetchall()
    ]


async def messages_of(conn: Conn, tenant_id: TenantId, conversation_id: UUID) -> list[dict[str, Any]]:
    """The messages in their order: tenant_id, role, content, kind, created_at, sources. SHOWN_MESSAGES at most."""
    cursor = await conn.execute(
        MESSAGES,
        {"tenant_id": tenant_id, "conversation_id": conversation_id, "limit": SHOWN_MESSAGES},
    )
    return await cursor.fetchall()


async def delete_conversations(
    conn: Conn, tenant_id: TenantId, *, owner: str, conversation_id: UUID | None = None
) -> int:
    """Deletes one of the owner's conversations, or all: how many there were. Messages go with them."""
    cursor = await conn.execute(
        "DELETE FROM conversations WHERE tenant_id = %s AND owner = %s AND (%s::uuid IS NULL OR id = %s::uuid)",
        (tenant_id, owner, conversation_id, conversation_id),
    )
    return cursor.rowcount
