"""Orders → the same in memory, file, PostgreSQL and Redis, whichever of them can be reached; the later change wins."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from uuid import uuid4

import structlog

from chatbot.core.audit import AuditEntry
from chatbot.core.orders import Orders, missing, newest
from chatbot.errors import QueueUnavailable, StoreUnavailable
from chatbot.stages.ports import Outside
from chatbot.store.audit import add_entry
from chatbot.store.blocks import forget_blocks, load_blocks, save_blocks
from chatbot.store.db import Conn
from chatbot.store.flags import load_flags, save_flags
from chatbot.telemetry import IP_BLOCKS, ORDERS_OWED

log = structlog.get_logger()


def now_of(outside: Outside) -> datetime:
    return datetime.fromtimestamp(outside.clocks.wall(), UTC)


async def agree(outside: Outside) -> None:
    """Brings all of them to the newest order of each name. What cannot be reached now is brought up to date later."""
    now = now_of(outside)
    outside.orders.look()
    outside.orders.forget(now)
    stored, shared = await _stored(outside), await _shared(outside)
    outside.orders.take(newest(stored or Orders(), shared or Orders()))
    outside.orders.forget(now)
    if stored is not None:
        await _catch_up_store(outside, stored, now)
    if shared is not None:
        await _catch_up_shared(outside, shared)
    IP_BLOCKS.set(sum(each.holds(now) for each in outside.orders.held.blocks.values()))
    ORDERS_OWED.set(len(outside.orders.owed))


async def give(
    outside: Outside, new: Orders, entry: AuditEntry, *, save: Callable[[Conn], Awaitable[None]]
) -> None:
    """Puts a new order into force, here whatever happens, and where it can be reached at once.

    The order and its audit entry are one transaction. With PostgreSQL down both are owed: kept in the file, and
    written when it is back.
    """
    try:
        async with outside.database.system() as conn:
            await save(conn)
            await add_entry(conn, entry)
    except StoreUnavailable as error:
        owe(outside, new, entry, reason=str(error))
    else:
        outside.orders.take(new)
    await share(outside, new)


def owe(outside: Outside, new: Orders, entry: AuditEntry, *, reason: str) -> None:
    """Puts a new order into force that PostgreSQL does not know of yet."""
    log.error("audit_not_written_yet", audit_event=entry.event, detail=dict(entry.detail), error=reason)
    detail = {**entry.detail, "ordered_at": now_of(outside).isoformat()}
    owed = AuditEntry(event=entry.event, actor=entry.actor, ip=entry.ip, detail=detail)
    outside.orders.take(new, owe={uuid4(): owed})
    ORDERS_OWED.set(len(outside.orders.owed))


async def share(outside: Outside, new: Orders) -> None:
    """Tells the other processes by Redis; without it they read PostgreSQL within a second."""
    try:
        await outside.shared_orders.publish(new)
    except QueueUnavailable as error:
        log.warning("order_not_shared", error=str(error))


async def _stored(outside: Outside) -> Orders | None:
    try:
        async with outside.database.system() as conn:
            return Orders(flags=await load_flags(conn), blocks=await load_blocks(conn))
    except StoreUnavailable:
        return None


async def _shared(outside: Outside) -> Orders | None:
    try:
        return await outside.shared_orders.load()
    except QueueUnavailable:
        return None


async def _catch_up_store(outside: Outside, stored: Orders, now: datetime) -> None:
    new, owed = missing(stored, outside.orders.held), dict(outside.orders.owed)
    over = stored.blocks.keys() - outside.orders.held.blocks.keys()
    if not (new or owed or over):
        return
    try:
        async with outside.database.system() as conn:
            await save_flags(conn, (flag for flag in new.flags.values() if flag.updated_at))
            await save_blocks(conn, new.blocks.values())
            await forget_blocks(conn, now)
            for entry in owed.values():
                await add_entry(conn, entry)
    except StoreUnavailable as error:
        log.warning("orders_not_stored", error=str(error))
    else:
        outside.orders.paid(owed)
        log.info("orders_stored", flags=sorted(new.flags), blocks=len(new.blocks), audited=len(owed))


async def _catch_up_shared(outside: Outside, shared: Orders) -> None:
    held = outside.orders.held
    over = [str(network) for network in shared.blocks.keys() - held.blocks.keys()]
    try:
        await outside.shared_orders.publish(missing(shared, held))
        await outside.shared_orders.forget(over)
    except QueueUnavailable as error:
        log.warning("orders_not_shared", error=str(error))
