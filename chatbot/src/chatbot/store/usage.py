"""Quotas as they were set, and what was used of the day's budget."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from chatbot.core.quotas import DEFAULTS, Limits, Quota, Reservation, Usage
from chatbot.core.tenancy import TenantId
from chatbot.store.db import Asked, Conn, Database

# One statement, so that two requests at once cannot both take the last token. Whoever crosses the line is still
# answered; the next is not. Without tokens (a cached or quoted answer) only the number of requests is looked at.
RESERVE = """
WITH most AS (
    SELECT coalesce((SELECT value FROM quotas WHERE tenant_id = %(tenant)s AND name = 'requests_per_day'),
                    %(requests)s) AS requests,
           coalesce((SELECT value FROM quotas WHERE tenant_id = %(tenant)s AND name = 'tokens_per_day'),
                    %(most_tokens)s) AS tokens
)
INSERT INTO usage_days AS u (tenant_id, day, requests, tokens)
SELECT %(tenant)s, %(day)s, 1, %(tokens)s FROM most
 WHERE most.requests > 0 AND (%(tokens)s = 0 OR most.tokens > 0)
ON CONFLICT (tenant_id, day) DO UPDATE SET requests = u.requests + 1, tokens = u.tokens + excluded.tokens
 WHERE u.requests < (SELECT requests FROM most) AND (excluded.tokens = 0 OR u.tokens < (SELECT tokens FROM most))
RETURNING 1
"""
# The log is in order: what is kept at the end of the answer is waited for, and is after this.
NOT_WAITED_FOR: Asked = ("SELECT set_config('synchronous_commit', 'off', true)", {})
USED = """
INSERT INTO usage_days AS u (tenant_id, day, requests, tokens)
VALUES (%(tenant)s, %(day)s, %(requests)s, greatest(0, %(tokens)s))
ON CONFLICT (tenant_id, day) DO UPDATE
   SET requests = u.requests + excluded.requests, tokens = greatest(0, u.tokens + %(tokens)s)
RETURNING 1
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
    values = {
        "tenant": tenant_id,
        "day": day,
        "tokens": tokens,
        "requests": DEFAULTS[Quota.REQUESTS_PER_DAY],
        "most_tokens": DEFAULTS[Quota.TOKENS_PER_DAY],
    }
    _, reserved = await database.at_once(tenant_id, NOT_WAITED_FOR, (RESERVE, values))
    return bool(reserved)


def counted(tenant_id: TenantId, *, day: date, requests: int, tokens: int) -> Asked:
    """The statement that adds to what was used, or with less than nothing takes back what was set aside and not used."""
    return USED, {"tenant": tenant_id, "day": day, "requests": requests, "tokens": tokens}


async def settle(conn: Conn, reservation: Reservation, *, tokens: int) -> None:
    """Counts what was used in place of what was set aside."""
    await conn.execute(
        *counted(reservation.tenant_id, day=reservation.day, requests=0, tokens=tokens - reservation.tokens)
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
