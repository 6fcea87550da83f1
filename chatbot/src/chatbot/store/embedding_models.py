"""Which model made the vectors that are stored: those of two models do not compare.

One is current. Another one takes its place by re-embedding only: from its beginning on nothing is stored by the one before,
whose row is retired when the last of its vectors is gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from chatbot.core.passages import DIMENSIONS, Piece, Vector
from chatbot.core.tenancy import TenantId
from chatbot.errors import EmbeddingModelChanged
from chatbot.store.db import Conn
from chatbot.store.documents import vector_text

OTHERS = """
SELECT id, heading, text FROM passages
 WHERE tenant_id = %(tenant_id)s AND model <> %(model)s AND id > %(after)s
 ORDER BY id LIMIT %(most)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A passage as it is embedded again."""

    passage_id: UUID
    piece: Piece


async def check_model(conn: Conn, configured: str) -> None:
    """Raises EmbeddingModelChanged unless every stored vector is of the configured model, or there is none yet."""
    cursor = await conn.execute(
        "SELECT name, superseded_at IS NULL AS current FROM embedding_models WHERE retired_at IS NULL"
    )
    rows = await cursor.fetchall()
    current = next((row["name"] for row in rows if row["current"]), None)
    before = [row["name"] for row in rows if not row["current"]]
    if current is not None and current != configured:
        raise EmbeddingModelChanged(
            f"The stored passages were embedded by '{current}', and '{configured}' is configured: their vectors do not"
            " compare."
        )
    if before:
        raise EmbeddingModelChanged(
            f"Re-embedding by '{configured}' is not finished: there are passages of '{before[0]}' still.",
            remedy="Run 'chatbot reembed' again: it goes on where it stopped.",
        )


async def hold_model(conn: Conn, model: str) -> None:
    """Makes the model current if there is none; until the transaction ends no other takes its place.

    Raises EmbeddingModelChanged when another one is current.
    """
    await conn.execute(
        "INSERT INTO embedding_models (name, dimensions) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        (model, DIMENSIONS),
    )
    cursor = await conn.execute("SELECT name FROM embedding_models WHERE superseded_at IS NULL FOR SHARE")
    row = await cursor.fetchone()
    if row is None or row["name"] != model:
        raise EmbeddingModelChanged(
            f"The stored passages were embedded by '{row['name'] if row else 'another model'}', and '{model}' is"
            " configured here: their vectors do not compare."
        )


async def begin_model(conn: Conn, model: str) -> None:
    """Makes the model current in place of the one before."""
    await conn.execute(
        "UPDATE embedding_models SET superseded_at = now() WHERE superseded_at IS NULL AND name <> %s",
        (model,),
    )
    await conn.execute(
        "INSERT INTO embedding_models (name, dimensions) VALUES (%s, %s)"
        " ON CONFLICT (name) DO UPDATE SET superseded_at = NULL, retired_at = NULL",
        (model, DIMENSIONS),
    )


async def retire_others(conn: Conn) -> None:
    """No vector is left of the models before."""
    await conn.execute(
        "UPDATE embedding_models SET retired_at = now() WHERE superseded_at IS NOT NULL AND retired_at IS NULL"
    )


async def passages_of_others(
    conn: Conn, tenant_id: TenantId, model: str, *, after: UUID, most: int
) -> list[Stored]:
    """Passages that another model embedded, by id."""
    cursor = await conn.execute(
        OTHERS, {"tenant_id": tenant_id, "model": model, "after": after, "most": most}
    )
    return [
        Stored(passage_id=row["id"], piece=Piece(heading=row["heading"], text=row["text"]))
        for row in await cursor.fetchall()
    ]


async def set_vectors(
    conn: Conn, tenant_id: TenantId, model: str, ids: Sequence[UUID], vectors: Sequence[Vector]
) -> None:
    """Writes the new vectors. A passage that is gone meanwhile is passed over."""
    async with conn.cursor() as many:
        await many.executemany(
            "UPDATE passages SET embedding = %s::halfvec, model = %s WHERE tenant_id = %s AND id = %s",
            [
                (vector_text(vector), model, tenant_id, passage_id)
                for passage_id, vector in zip(ids, vectors, strict=True)
            ],
        )
