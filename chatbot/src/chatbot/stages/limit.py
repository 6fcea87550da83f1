"""Who asks → how often lately → let in or 429. Never fails because Redis does: then the local counts stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog

from chatbot.core.caller import Caller, CallerKind
from chatbot.core.limits import Limit, Route, Who, whole_seconds
from chatbot.errors import QueueUnavailable, RateLimited
from chatbot.stages.ports import Counting, Outside
from chatbot.telemetry import RATE_LIMITED, RATE_LIMITS_LOCAL

log = structlog.get_logger()


async def limit(outside: Outside, route: Route, whom: Mapping[Who, str]) -> None:
    """Counts the request for each of these names. Raises RateLimited at the first that has no room."""
    limit_here(outside, route, whom)
    await limit_everywhere(outside, route, whom)


def limit_here(outside: Outside, route: Route, whom: Mapping[Who, str]) -> None:
    """Counts the request in this process alone, which takes no time. Raises RateLimited."""
    counting = outside.counting
    for each, name in _limits(counting, route, whom):
        if wait := counting.local.take(each, name, outside.clocks.monotonic()):
            raise _refused(each, wait)


async def limit_everywhere(outside: Outside, route: Route, whom: Mapping[Who, str]) -> None:
    """Counts the request, which `limit_here` has let in, for all processes together. Raises RateLimited.

    One after the other: what one name is refused is not counted for the next.
    """
    counting = outside.counting
    for each, name in _limits(counting, route, whom):
        if wait := await _asked_redis(outside, counting, each, name):
            raise _refused(each, wait)


def _limits(counting: Counting, route: Route, whom: Mapping[Who, str]) -> list[tuple[Limit, str]]:
    limits = counting.limits
    return [(limits[route, who], name) for who, name in whom.items() if (route, who) in limits]


def whom(caller: Caller) -> dict[Who, str]:
    """Whose requests those of the caller are counted with, beside its address."""
    names = {Who.TENANT: str(caller.tenant.tenant_id)}
    if caller.kind is CallerKind.API_KEY:
        names[Who.KEY] = caller.actor
    elif caller.session_id is not None:
        names[Who.SESSION] = str(caller.session_id)
    return names


async def _asked_redis(outside: Outside, counting: Counting, each: Limit, name: str) -> float:
    clock = outside.clocks.monotonic
    if not counting.redis.may_try(clock()):
        return 0.0
    try:
        wait = (
            0.0
            if await _hit(outside, counting, each, name)
            else await counting.shared.wait(each, name) or 1.0
        )
    except QueueUnavailable as error:
        if not counting.redis.around:
            log.warning("rate_limits_local", error=str(error))
        counting.redis.failed(clock())
        RATE_LIMITS_LOCAL.set(1)
        return 0.0
    if counting.redis.around:
        log.info("rate_limits_shared")
        counting.redis.worked()
        RATE_LIMITS_LOCAL.set(0)
    return wait


async def _hit(outside: Outside, counting: Counting, each: Limit, name: str) -> bool:
    """Those of one name that come at once are counted together, and one by one where there is no room for all."""

    async def count(asked: Sequence[None]) -> Sequence[bool]:
        if await counting.shared.hit(each, name, requests=len(asked)):
            return [True] * len(asked)
        let_in: list[bool] = []
        while len(asked) > 1 and len(let_in) < len(asked) and await counting.shared.hit(each, name):
            let_in.append(True)
        return [*let_in, *[False] * (len(asked) - len(let_in))]

    return await outside.together.run(("limit", each.name, name), None, count)


def _refused(each: Limit, wait: float) -> RateLimited:
    RATE_LIMITED.labels(route=each.route, who=each.who).inc()
    return RateLimited(
        f"More than {each.amount} requests in {each.seconds} s: the limit '{each.name}' is reached.",
        policy=each.name,
        amount=each.amount,
        seconds=each.seconds,
        retry_after=whole_seconds(wait),
    )
