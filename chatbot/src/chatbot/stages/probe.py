"""The canary: a secret is planted in one reserved tenant and asked for as another, by the paths that the product takes.

A leak is a violation like any other. When the keeper itself cannot find the secret, the prober is broken: that is a
metric and a log line, for a prober that finds nothing proves nothing.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from uuid import UUID, uuid4

import structlog

from chatbot.core.answers import Kind
from chatbot.core.cached import CachedAnswer
from chatbot.core.caller import Caller, CallerKind
from chatbot.core.canary import ASKER, KEEPER
from chatbot.core.passages import Passage
from chatbot.core.tenancy import Tenant
from chatbot.core.violation import Source, Violation, moment
from chatbot.errors import CacheUnavailable, NotFound, StoreUnavailable, TenantIsolationViolation
from chatbot.stages.ingest import ingest
from chatbot.stages.ports import Outside
from chatbot.stages.retrieve import retrieve
from chatbot.stages.upload import upload
from chatbot.stages.withhold import raise_alarm
from chatbot.store.canaries import (
    WAITING,
    could_take,
    ensure_conversation,
    ensure_tenant,
    ensure_waiting_revision,
    tables_that_show_the_keeper,
)
from chatbot.store.conversations import owner_of_conversation
from chatbot.telemetry import PROBED_AT, PROBES

log = structlog.get_logger()

ACTOR = "canary"
QUESTION = "What is the secret of the canary?"
CONVERSATION = UUID("ca9a0000-0000-4000-8000-0000000000c0")
_SECRET = re.compile(r"canary-[0-9a-f]{32}")
_LASTS = timedelta(minutes=2)
_LIMIT = 3


class Result(StrEnum):
    """How a probe ended; each is a series of the metric."""

    HELD = "held"  # the keeper found the secret, the asker did not
    LEAKED = "leaked"  # a violation
    BROKEN = "broken"  # not even the keeper found it
    UNAVAILABLE = "unavailable"  # PostgreSQL or Redis does not answer


async def probe_isolation(outside: Outside) -> Mapping[str, Result]:
    """One round over every path. Raises nothing for what it finds: that is counted, and a leak raises the alarm."""
    results: dict[str, Result] = {}
    for path, probe in PATHS.items():
        try:
            result = await probe(outside)
        except TenantIsolationViolation:
            result = Result.LEAKED  # the detector on that path has raised the alarm already
        except (StoreUnavailable, CacheUnavailable) as error:
            result = Result.UNAVAILABLE
            log.warning("isolation_probe_unavailable", path=path, error=str(error))
        if result is Result.BROKEN:
            log.error("isolation_probe_broken", path=path)
        PROBES.labels(path=path, result=result).inc()
        results[path] = result
    if Result.UNAVAILABLE not in results.values():
        PROBED_AT.set(outside.clocks.wall())
    return results


async def _policies(outside: Outside) -> Result:
    """Row-level security alone: every table, as the asker and as nobody."""
    for tenant in (KEEPER, ASKER):
        async with outside.database.tenant(tenant.tenant_id) as conn:
            await ensure_tenant(conn, tenant)
    async with outside.database.tenant(KEEPER.tenant_id) as conn:
        own = await tables_that_show_the_keeper(conn)
    async with outside.database.tenant(ASKER.tenant_id) as conn:
        shown = await tables_that_show_the_keeper(conn)
    async with outside.database.system() as conn:
        shown += await tables_that_show_the_keeper(conn)
    if shown:
        return await _leak(outside, "policies", rows=len(shown))
    return Result.HELD if "tenants" in own else Result.BROKEN


async def _retrieval(outside: Outside) -> Result:
    """The search that answers questions."""
    secret = await _secret(outside) or await _planted(outside)
    if secret is None:
        return Result.BROKEN
    found = await _found(outside, ASKER, f"{QUESTION} {secret}")
    if any(secret in passage.text for passage in found):
        return await _leak(outside, "retrieval", rows=len(found))
    return Result.HELD


async def _secret(outside: Outside) -> str | None:
    """The secret as the keeper's own search finds it."""
    found = await _found(outside, KEEPER, QUESTION)
    match = _SECRET.search(" ".join(passage.text for passage in found))
    return match[0] if match else None


async def _found(outside: Outside, tenant: Tenant, question: str) -> tuple[Passage, ...]:
    return await retrieve(outside, _caller(tenant), question, limit=_LIMIT)


async def _planted(outside: Outside) -> str | None:
    content = f"The secret of the canary is canary-{secrets.token_hex(16)}.".encode()
    ref = await upload(
        outside.database,
        outside.clocks,
        KEEPER,
        title="canary.md",
        parts=[content],
        media_type=None,
        actor=ACTOR,
    )
    await ingest(outside, ref)
    return await _secret(outside)


async def _cache(outside: Outside) -> Result:
    """The cache of answers: the same question, kept by one, asked by the other."""
    digest, secret = "canary", f"canary-{secrets.token_hex(16)}"
    ((_, marks),) = await outside.cache.find(KEEPER.tenant_id, [digest])
    answer = CachedAnswer(
        tenant_id=KEEPER.tenant_id, stamp="", text=secret, kind=Kind.EXTRACTIVE, provider=None, model=None, sources=(),
        prompt_tokens=0, completion_tokens=0,
    )  # fmt: skip
    await outside.cache.keep(KEEPER.tenant_id, digest, answer, marks=marks, lasts=_LASTS)
    ((seen, _),) = await outside.cache.find(ASKER.tenant_id, [digest])
    if seen is not None:
        return await _leak(outside, "cache", rows=1)
    ((own, _),) = await outside.cache.find(KEEPER.tenant_id, [digest])
    return Result.HELD if own is not None and own.text == secret else Result.BROKEN


async def _conversation(outside: Outside) -> Result:
    """A conversation whose id the other knows."""
    async with outside.database.tenant(KEEPER.tenant_id) as conn:
        await ensure_conversation(conn, KEEPER, CONVERSATION, owner=ACTOR)
        try:
            await owner_of_conversation(conn, KEEPER.tenant_id, CONVERSATION, owner=ACTOR)
        except NotFound:
            return Result.BROKEN
    try:
        async with outside.database.tenant(ASKER.tenant_id) as conn:
            await owner_of_conversation(conn, ASKER.tenant_id, CONVERSATION, owner=ACTOR)
    except NotFound:
        return Result.HELD
    return await _leak(outside, "conversation", rows=1)


async def _job(outside: Outside) -> Result:
    """A job that names a document of the other: as its own, and as the other's."""
    async with outside.database.tenant(KEEPER.tenant_id) as conn:
        await ensure_waiting_revision(conn, moment(outside.clocks.wall()))
        own = await could_take(conn, WAITING)
    async with outside.database.tenant(ASKER.tenant_id) as conn:
        as_its_own = await could_take(conn, replace(WAITING, tenant_id=ASKER.tenant_id))
        taken = as_its_own or await could_take(conn, WAITING)
    if taken:
        return await _leak(outside, "job", rows=1)
    return Result.HELD if own else Result.BROKEN


PATHS: Mapping[str, Callable[[Outside], Awaitable[Result]]] = {
    "policies": _policies,
    "retrieval": _retrieval,
    "cache": _cache,
    "conversation": _conversation,
    "job": _job,
}


async def _leak(outside: Outside, path: str, *, rows: int) -> Result:
    violation = Violation(
        event_id=uuid4(), tenant_id=ASKER.tenant_id, foreign=(KEEPER.tenant_id,), rows=rows, source=Source.CANARY,
        actor=ACTOR, occurred_at=moment(outside.clocks.wall()), path=path,
    )  # fmt: skip
    await raise_alarm(outside, violation)
    return Result.LEAKED


def _caller(tenant: Tenant) -> Caller:
    return Caller(tenant=tenant, actor=ACTOR, kind=CallerKind.API_KEY)
