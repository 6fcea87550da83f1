"""Flag on or off, audited; works with PostgreSQL and Redis down."""

from __future__ import annotations

import structlog

from chatbot.core.audit import AuditEntry, AuditEvent, Operator
from chatbot.core.flags import Flag, FlagChange, check_flag_name
from chatbot.core.orders import Orders, moment_after
from chatbot.errors import StoreUnavailable
from chatbot.stages.agree import now_of, owe, share
from chatbot.stages.ports import Outside
from chatbot.store.audit import add_entry
from chatbot.store.flags import set_flag

log = structlog.get_logger()


async def switch(
    outside: Outside, name: str, operator: Operator, *, enabled: bool, message: str | None = None
) -> FlagChange:
    """Sets the flag; the change and its audit entry are one transaction. In force here at once, elsewhere within a second.

    Raises NotFound.
    """
    held = outside.flags.all()[check_flag_name(name)]
    wanted = Flag(
        name=name,
        enabled=enabled,
        updated_at=moment_after(now_of(outside), held.updated_at),
        updated_by=operator.actor,
        message=message if enabled else None,
    )
    try:
        async with outside.database.system() as conn:
            flag, previous = await set_flag(conn, wanted)
            await add_entry(conn, _entry(operator, flag, previous))
    except StoreUnavailable as error:
        flag, previous = wanted, held
        owe(outside, Orders(flags={name: flag}), _entry(operator, flag, previous), reason=str(error))
    else:
        outside.orders.take(Orders(flags={name: flag}))
    await share(outside, Orders(flags={name: flag}))
    log.info("flag_changed", flag=name, enabled=enabled, previous=previous.enabled)
    return FlagChange(flag=flag, previous=previous)


def _entry(operator: Operator, flag: Flag, previous: Flag) -> AuditEntry:
    return AuditEntry(
        event=AuditEvent.FLAG_CHANGED,
        actor=operator.actor,
        ip=operator.ip,
        detail={
            "flag": flag.name,
            "enabled": flag.enabled,
            "previous": previous.enabled,
            "message": flag.message,
            "on_behalf_of": operator.on_behalf_of,
        },
    )
