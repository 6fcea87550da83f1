"""A document → nothing: its passages, its bytes and its jobs go with it, and answers that could have seen it are void."""

from __future__ import annotations

from uuid import UUID

from chatbot.core.audit import AuditEntry, AuditEvent
from chatbot.core.caller import Caller
from chatbot.errors import NotFound
from chatbot.stages.ports import Outside
from chatbot.store.audit import add_entry
from chatbot.store.documents import delete_document


async def delete(outside: Outside, caller: Caller, document_id: UUID) -> None:
    """Deletes it at once; the audit log keeps its title. Raises NotFound, StoreUnavailable."""
    tenant_id = caller.tenant.tenant_id
    async with outside.database.tenant(tenant_id) as conn:
        title = await delete_document(conn, tenant_id, document_id)
        if title is None:
            raise not_found(document_id)
        detail = {"document": str(document_id), "title": title}
        entry = AuditEntry(
            event=AuditEvent.DOCUMENT_DELETED, actor=caller.actor, tenant_id=tenant_id, detail=detail
        )
        await add_entry(conn, entry)


def not_found(document_id: UUID) -> NotFound:
    """The same for what never was, what is gone, and what is somebody else's."""
    return NotFound(f"There is no document {document_id}.", remedy="List them with: GET /api/documents.")
