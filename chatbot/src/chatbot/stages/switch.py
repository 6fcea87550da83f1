"""Flag on or off, audited; and the copy in memory kept fresh."""

from __future__ import annotations

import structlog

from chatbot.core.audit import AuditEntry, AuditEvent
from chatbot.core.flags import FlagChange, check_flag_name
from chatbot.stages.ports import Outside
from chatbot.store.audit import add_entry
from chatbot.store.flags import load_flags, set_flag

log = structlog.get_logger()


async def switch(
    outside: Outside, name: str, *, enabled: bool, ip: str | None, on_behalf_of: str | None
) -> FlagChange:
    """Sets the flag; the change and its audit entry are one transaction. In force here at once, elsewhere within a second.

    Raises NotFound, StoreUnavailable.
    """
    check_flag_name(name)
    async with outside.database.system() as conn:
        flag, previous = await set_flag(conn, name, enabled=enabled, by="admin")
        detail = {"flag": name, "enabled": enabled, "previous": previous, "on_behalf_of": on_behalf_of}
        await add_entry(conn, AuditEntry(event=AuditEvent.FLAG_CHANGED, actor="admin", ip=ip, detail=detail))
        after = await load_flags(conn)
    outside.flags.replace(after)
    log.info("flag_changed", **detail)
    return FlagChange(flag=flag, previous=previous)


async def refresh_flags(outside: Outside) -> None:
    """Takes the stored flags over. Raises StoreUnavailable; the copy then stays as it is."""
    async with outside.database.system() as conn:
        stored = await load_flags(conn)
    outside.flags.replace(stored)
