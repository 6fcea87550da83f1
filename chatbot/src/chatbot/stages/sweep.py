"""Rows that are due → jobs: what Redis lost, what a dead worker left. And large corpora → their vector index."""

from __future__ import annotations

import structlog

from chatbot.stages.ports import Outside, now_of
from chatbot.store.corpora import shelve_some, unshelved_tenants
from chatbot.store.documents import due_revisions

log = structlog.get_logger()

MOST_AT_ONCE = 200
# Passages moved into an index in one transaction: a second or so.
SHELVED_AT_ONCE = 250


async def sweep(outside: Outside) -> int:
    """Tells the queue of every revision that is due. One that it knows of already is not queued twice. How many.

    Raises StoreUnavailable, QueueUnavailable.
    """
    async with outside.database.system() as conn:
        due = await due_revisions(conn, now_of(outside.clocks), most=MOST_AT_ONCE)
    for ref in due:
        await outside.jobs.send_ingest(ref)
    return len(due)


async def shelve(outside: Outside) -> int:
    """Moves some passages of the largest corpus that is not wholly in its index. How many; 0: there is none."""
    async with outside.database.system() as conn:
        waiting = await unshelved_tenants(conn)
    for tenant_id in waiting[:1]:
        async with outside.database.tenant(tenant_id) as conn:
            moved = await shelve_some(conn, tenant_id, most=SHELVED_AT_ONCE)
        if not moved:
            log.info("corpus_shelved", tenant_id=str(tenant_id))
        return moved
    return 0
