"""What a tenant's questions are answered from, as a whole: its revision, its size, and its vector index.

A small corpus is searched exactly. One of SHELVE_AT passages or more gets a shelf: one of the few vector indexes, each
over the passages that carry its number. Shelving writes that number into the passages already there, batch by batch, and
no index has to be made or locked for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from chatbot.core.tenancy import TenantId
from chatbot.store.db import Conn

SHELVES = 16
SHELVE_AT = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """`revision` grows with every change that an answer can see: whatever is kept of an answer is keyed by it."""

    revision: int
    passages: int
    shelf: int | None
    shelved: bool


NOTHING = Corpus(revision=0, passages=0, shelf=None, shelved=False)


async def corpus_of(conn: Conn, tenant_id: TenantId) -> Corpus:
    """The tenant's corpus; one of nothing where there never was a document."""
    cursor = await conn.execute(
        "SELECT revision, passages, shelf, shelved FROM corpora WHERE tenant_id = %s", (tenant_id,)
    )
    row = await cursor.fetchone()
    return Corpus(**row) if row else NOTHING


async def unshelved_tenants(conn: Conn) -> list[TenantId]:
    """The tenants whose corpus has grown large and is not, or not wholly, in an index. The largest first."""
    cursor = await conn.execute("SELECT tenant_id FROM unshelved_tenants(%s)", (SHELVE_AT,))
    return [TenantId(row["tenant_id"]) for row in await cursor.fetchall()]


async def shelve_some(conn: Conn, tenant_id: TenantId, *, most: int) -> int:
    """Moves so many passages into the tenant's index, which is chosen the first time. How many there were.

    Once there are none left, the index answers.
    """
    cursor = await conn.execute(
        "UPDATE corpora SET shelf = coalesce(shelf, emptiest_shelf(%s)) WHERE tenant_id = %s RETURNING shelf",
        (SHELVES, tenant_id),
    )
    row = await cursor.fetchone()
    if row is None:
        return 0
    cursor = await conn.execute(
        "UPDATE passages SET shelf = %(shelf)s WHERE tenant_id = %(tenant_id)s AND id IN ("
        " SELECT id FROM passages WHERE tenant_id = %(tenant_id)s AND shelf IS DISTINCT FROM %(shelf)s LIMIT %(most)s)",
        {"shelf": row["shelf"], "tenant_id": tenant_id, "most": most},
    )
    if cursor.rowcount == 0:
        await conn.execute("UPDATE corpora SET shelved = true WHERE tenant_id = %s", (tenant_id,))
    return cursor.rowcount
