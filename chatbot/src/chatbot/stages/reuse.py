"""Question → an answer that was given before, from the same documents under the same settings; and an answer kept for that.

It is looked for before it is known what those are, and carries a stamp of what it was made from.

Only questions that begin a conversation: what was said before is no part of the key. Redis down: no answer is found and none
is kept, and for a moment Redis is not asked at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import structlog

from chatbot.core.breaker import Outcome
from chatbot.core.cached import LASTS, CachedAnswer, Marks, digest
from chatbot.core.caller import Caller
from chatbot.core.tenancy import TenantId
from chatbot.core.violation import Source
from chatbot.errors import CacheUnavailable, TenantIsolationViolation
from chatbot.stages.ports import Outside
from chatbot.stages.recollect import Start, start_of
from chatbot.stages.withhold import withhold_foreign
from chatbot.telemetry import CACHE_HITS, CACHE_MISSES

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Where an answer would be kept, and the one that is there, which may be out of date (`given_before`).

    `marks` is None where the cache cannot be used.
    """

    tenant_id: TenantId
    digest: str
    marks: Marks | None
    answer: CachedAnswer | None


async def find_answer(outside: Outside, caller: Caller, text: str) -> Found:
    """Looks for the answer. Raises TenantIsolationViolation when what is there belongs to another; it is dropped."""
    tenant_id, key = caller.tenant.tenant_id, digest(text)
    if not outside.cache_lasts:
        return Found(tenant_id=tenant_id, digest=key, marks=None, answer=None)
    answer, marks = await _find(outside, tenant_id, key)
    if answer is not None:
        try:
            await withhold_foreign(outside, caller, [answer.tenant_id], source=Source.CACHE)
        except TenantIsolationViolation:
            await _drop(outside, tenant_id, key)
            raise
    return Found(tenant_id=tenant_id, digest=key, marks=marks, answer=answer)


async def given_before(outside: Outside, caller: Caller, found: Found) -> tuple[Start, CachedAnswer] | None:
    """The answer that was found, and what it starts from, if that is what it was made from. Raises StoreUnavailable."""
    if found.answer is not None:
        start = await start_of(outside, caller)
        if found.answer.stamp == start.stamp:
            CACHE_HITS.inc()
            return start, found.answer
    if outside.cache_lasts:
        CACHE_MISSES.inc()
    return None


async def keep_answer(outside: Outside, found: Found, answer: CachedAnswer) -> None:
    """Keeps the answer for as long as its kind may be given again; not at all where it may not."""
    if answer.kind not in LASTS or found.marks is None:
        return
    lasts = min(LASTS[answer.kind], outside.cache_lasts)
    permit = outside.cache_breaker.admit(outside.clocks.monotonic())
    if permit is None:
        return
    outcome = Outcome.IGNORED
    try:
        await outside.cache.keep(found.tenant_id, found.digest, answer, marks=found.marks, lasts=lasts)
        outcome = Outcome.SUCCESS
    except CacheUnavailable as error:
        outcome = Outcome.FAILURE
        log.warning("answer_not_kept", error=str(error))
    finally:
        outside.cache_breaker.record(permit, outcome, outside.clocks.monotonic())


async def _find(outside: Outside, tenant_id: TenantId, key: str) -> tuple[CachedAnswer | None, Marks | None]:
    permit = outside.cache_breaker.admit(outside.clocks.monotonic())
    if permit is None:
        return None, None
    outcome = Outcome.IGNORED
    try:
        # A tenant's questions that come at once are looked for together.
        found = await outside.together.run(
            ("answers", tenant_id), key, partial(outside.cache.find, tenant_id)
        )
        outcome = Outcome.SUCCESS
    except CacheUnavailable as error:
        outcome = Outcome.FAILURE
        log.warning("answers_not_looked_up", error=str(error))
        return None, None
    finally:
        outside.cache_breaker.record(permit, outcome, outside.clocks.monotonic())
    return found


async def _drop(outside: Outside, tenant_id: TenantId, key: str) -> None:
    try:
        await outside.cache.drop(tenant_id, key)
    except CacheUnavailable as error:
        log.error("foreign_answer_not_dropped", error=str(error))
