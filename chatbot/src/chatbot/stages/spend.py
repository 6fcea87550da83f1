"""Request → a part of the tenant's budget of the day, set aside before the work and settled after it."""

from __future__ import annotations

from datetime import date

from chatbot.core.caller import Caller
from chatbot.core.passages import Passage
from chatbot.core.quotas import Quota, Reservation, day_of, seconds_of_day_left
from chatbot.errors import BudgetSpent
from chatbot.stages.ports import Outside
from chatbot.store import usage
from chatbot.store.passages import Search
from chatbot.store.questions import search_and_reserve
from chatbot.telemetry import SEARCH_SECONDS


async def reserve(outside: Outside, caller: Caller, *, tokens: int) -> Reservation:
    """Counts the request and sets aside the tokens that it may cost at most; 0 where no model is asked.

    Whoever crosses the line is still answered, the next is refused. A reservation whose process dies stays spent
    until the day ends (UTC). Raises BudgetSpent, StoreUnavailable.
    """
    tenant_id, day = caller.tenant.tenant_id, day_of(outside.clocks.wall())
    if not await usage.reserve(outside.database, tenant_id, day=day, tokens=tokens):
        raise await _spent(outside, caller, day)
    return Reservation(tenant_id=tenant_id, day=day, tokens=tokens)


async def search_paid(
    outside: Outside, caller: Caller, search: Search, *, tokens: int
) -> tuple[list[Passage], Reservation]:
    """Like `reserve`, and the passages that fit best, on the same way to the database: a search that fails costs nothing.

    Raises BudgetSpent, StoreUnavailable.
    """
    day = day_of(outside.clocks.wall())
    reservation = Reservation(tenant_id=caller.tenant.tenant_id, day=day, tokens=tokens)
    with SEARCH_SECONDS.time():
        passages = await search_and_reserve(outside.database, reservation, search)
    if passages is None:
        raise await _spent(outside, caller, day)
    return passages, reservation


async def _spent(outside: Outside, caller: Caller, day: date) -> BudgetSpent:
    tenant_id = caller.tenant.tenant_id
    async with outside.database.tenant(tenant_id) as conn:
        limits, used = await usage.limits_of(conn, tenant_id), await usage.usage_on(conn, tenant_id, day)
    left = seconds_of_day_left(outside.clocks.wall())
    requests = used.requests >= limits.of(Quota.REQUESTS_PER_DAY)
    quota, spent = (
        (Quota.REQUESTS_PER_DAY, used.requests) if requests else (Quota.TOKENS_PER_DAY, used.tokens)
    )
    return BudgetSpent(
        f"The tenant has used {spent} of its {limits.of(quota)} {'requests' if requests else 'tokens'} of today.",
        retry_after=left,
        remedy=f"Try again after midnight UTC, in {left} s, or let an operator raise it:"
        f" chatbot tenant budget {caller.tenant.name} --{quota.replace('_', '-')} N.",
    )


async def charge(outside: Outside, reservation: Reservation, *, tokens: int) -> None:
    """Settles a reservation with the tokens that were really used. Call it once, also when the stream broke off.

    Raises StoreUnavailable.
    """
    if tokens == reservation.tokens:
        return
    async with outside.database.tenant(reservation.tenant_id) as conn:
        await usage.settle(conn, reservation, tokens=tokens)
