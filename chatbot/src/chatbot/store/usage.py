"""Quotas as they were set, and what was used of the day's budget."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from chatbot.core.quotas import DEFAULTS, Limits, Quota, Reservation, Usage
from chatbot.core.tenancy import TenantId
from chatbot.store.db import Asked, Conn, Database

RESERVE = """
SELECT reserve_use(%(tenant)s, %(day)s, %(tokens)s, %(requests)s, %(most_tokens)s) AS reserved
"""


async def limits_of(conn: Conn, tenant_id: TenantId) -> Limits:
    """The tenant's quotas."""
    cursor = await conn.execute("SELECT name, value FROM quotas WHERE tenant_id = %s", (tenant_id,))
    return Limits(values={Quota(row["name"]): row["value"] for row in await cursor.fetchall()})


async def hold_limits(conn: Conn, tenant_id: TenantId) -> Limits:
    """The tenant's quotas; until the transaction ends nobody else adds what they count.

    Call it first, then count what there is, then `Limits.check`, then add.
    """
    await conn.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended('quota of ' || %s::text, 0))", (tenant_id,)
    )
    return await limits_of(conn, tenant_id)


async def set_quotas(
    conn: Conn, tenant_id: TenantId, changes: Mapping[Quota, int | None], *, by: str
) -> None:
    """Sets quotas; None puts one back to its default."""
    for quota, value in changes.items():
        if value is None:
            await conn.execute("DELETE FROM quotas WHERE tenant_id = %s AND name = %s", (tenant_id, quota))
            continue
        await conn.execute(
            "INSERT INTO quotas (tenant_id, name, value, updated_by) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (tenant_id, name) DO UPDATE"
            " SET value = excluded.value, updated_at = now(), updated_by = excluded.updated_by",
            (tenant_id, quota, value, by),
        )


async def reserve(database: Database, tenant_id: TenantId, *, day: date, tokens: int) -> bool:
    """Counts a request and sets its tokens aside; False when the day's budget is spent.

    Where a connection breaks in the moment, it may be counted twice; never not at all, unless PostgreSQL itself goes down
    within the next second and the answer with it. Raises StoreUnavailable.
    """
    ((row,),) = await database.at_once(tenant_id, reserving(tenant_id, day=day, tokens=tokens))
    return bool(row["reserved"])


def reserving(tenant_id: TenantId, *, day: date, tokens: int) -> Asked:
    """The statement of `reserve`: `reserved` says whether the day's budget had room."""
    values = {
        "tenant": tenant_id,
        "day": day,
        "tokens": tokens,
        "requests": DEFAULTS[Quota.REQUESTS_PER_DAY],
        "most_tokens": DEFAULTS[Quota.TOKENS_PER_DAY],
    }
    return RESERVE, values


async def settle(conn: Conn, reservation: Reservation, *, tokens: int) -> None:
    """Counts what was used in place of what was set aside."""
    await conn.execute(
        "SELECT count_use(%s, %s, 0, %s)",
        (reservation.tenant_id, reservation.day, tokens - reservation.tokens),
    )


async def usage_on(conn: Conn, tenant_id: TenantId, day: date) -> Usage:
    """What was used on the day."""
    cursor = await conn.execute(
        "SELECT day, requests, tokens FROM usage_days WHERE tenant_id = %s AND day = %s", (tenant_id, day)
    )
    row = await cursor.fetchone()
    return Usage(**row) if row else Usage(day=day, requests=0, tokens=0)


async def usage_since(conn: Conn, tenant_id: TenantId, day: date) -> list[Usage]:
    """Each day's use from `day` on, the latest first; days without any are left out."""
    cursor = await conn.execute(
        "SELECT day, requests, tokens FROM usage_days WHERE tenant_id = %s AND day >= %s ORDER BY day DESC",
        (tenant_id, day),
    )
    return [Usage(**row) for row in await cursor.fetchall()]
