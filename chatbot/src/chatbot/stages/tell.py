"""Violation → the responder: at once where it can be, again and again until it has answered with a 2xx."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from chatbot.core.violation import moment, wait_after
from chatbot.errors import ResponderUnavailable, StoreUnavailable
from chatbot.stages.ports import Alarm, Hook, Outside
from chatbot.stages.repeat import every
from chatbot.stages.withhold import keep_held
from chatbot.store.security_outbox import (
    Due,
    claim_due,
    count_untold,
    mark_failed,
    mark_told,
    message_of,
    take_uncounted,
)
from chatbot.telemetry import ISOLATION_VIOLATIONS, SECURITY_EVENTS, SECURITY_EVENTS_UNTOLD, tenant_label

log = structlog.get_logger()

# A new violation wakes the loop; this is for those that are to be told again.
TELL_EVERY = timedelta(seconds=1)


async def tell_for_ever(outside: Outside) -> None:
    """Tells the responder of violations, the moment that there is one. For the server and the worker alike."""
    await every(TELL_EVERY, "tell_responder", lambda: tell_responder(outside), wake=outside.alarm.wake)


async def tell_responder(outside: Outside) -> None:
    """One round: what is due is sent. Without a database, what is held in memory is sent straight away."""
    alarm, now = outside.alarm, moment(outside.clocks.wall())
    kept = await keep_held(alarm)
    try:
        if alarm.hook is not None:
            async with alarm.database.system() as conn:
                due = await claim_due(conn, now)
            for each in due:
                await _send(alarm, alarm.hook, each, now)
        async with alarm.database.system() as conn:
            # Of commands, whose own metrics nobody reads.
            for tenant_id, source in await take_uncounted(conn):
                ISOLATION_VIOLATIONS.labels(tenant_id=tenant_label(tenant_id), source=source).inc()
            SECURITY_EVENTS_UNTOLD.set(await count_untold(conn))
    except StoreUnavailable:
        SECURITY_EVENTS_UNTOLD.set(sum(held.told_at is None for held in alarm.held))
        if not kept and alarm.hook is not None:
            await _send_held(alarm, alarm.hook, now)


async def _send(alarm: Alarm, hook: Hook, due: Due, now: datetime) -> None:
    reason = await _tell(hook, due.body, now)
    async with alarm.database.system() as conn:
        if reason is None:
            await mark_told(conn, due.event_id, now)
        else:
            await mark_failed(conn, due.event_id, due_at=now + wait_after(due.attempts), reason=reason)


async def _send_held(alarm: Alarm, hook: Hook, now: datetime) -> None:
    for held in list(alarm.held):
        if held.told_at is None and now >= held.due_at(now):
            held.attempts += 1
            held.tried_at = now
            if await _tell(hook, message_of(held.violation), now) is None:
                held.told_at = now


async def _tell(hook: Hook, body: bytes, now: datetime) -> str | None:
    """None when the responder has taken it, else why not."""
    try:
        await hook.tell(body, timestamp=int(now.timestamp()))
    except ResponderUnavailable as error:
        SECURITY_EVENTS.labels(result="failed").inc()
        log.error("responder_not_told", reason=str(error))
        return str(error)
    SECURITY_EVENTS.labels(result="told").inc()
    return None
