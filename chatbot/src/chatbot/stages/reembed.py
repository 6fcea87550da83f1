"""Passages of another model → passages of the one that is configured, tenant by tenant. Stopped, it goes on where it was."""

from __future__ import annotations

from uuid import UUID

import structlog

from chatbot.core.canary import RESERVED
from chatbot.core.passages import embedded_text
from chatbot.core.tenancy import TenantId
from chatbot.stages.ports import Outside
from chatbot.store.embedding_models import (
    begin_model,
    passages_of_others,
    retire_others,
    set_vectors,
)
from chatbot.store.tenants import all_tenants

log = structlog.get_logger()

AT_ONCE = 64


async def reembed(outside: Outside) -> int:
    """How many passages there were. From its beginning on nothing is stored by another model.

    Raises EmbeddingFailed, ConfigError, StoreUnavailable: call it again.
    """
    model = outside.embedder.name
    async with outside.database.system() as conn:
        await begin_model(conn, model)
    tenants = [each.tenant.tenant_id for each in await all_tenants(outside.database)]
    done = 0
    for tenant_id in (*tenants, *sorted(RESERVED)):
        done += await _tenant(outside, tenant_id, model)
    async with outside.database.system() as conn:
        await retire_others(conn)
    log.info("reembedded", model=model, passages=done)
    return done


async def _tenant(outside: Outside, tenant_id: TenantId, model: str) -> int:
    done, after = 0, UUID(int=0)
    while True:
        async with outside.database.tenant(tenant_id) as conn:
            stored = await passages_of_others(conn, tenant_id, model, after=after, most=AT_ONCE)
        if not stored:
            return done
        vectors = await outside.embedder.embed([embedded_text(each.piece) for each in stored])
        ids = [each.passage_id for each in stored]
        async with outside.database.tenant(tenant_id) as conn:
            await set_vectors(conn, tenant_id, model, ids, vectors)
        done, after = done + len(ids), ids[-1]
