"""chatbot tenant create · list · show · suspend · resume · budget · export · erase."""

from __future__ import annotations

import argparse
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from chatbot import config
from chatbot.bootstrap import detector
from chatbot.commands.acting import ACTOR, acting_for, connected, group, moment, now, table, tell
from chatbot.core.quotas import DEFAULTS, Quota
from chatbot.core.tenancy import TenantId
from chatbot.core.violation import Source
from chatbot.errors import BadRequest
from chatbot.integrations.answer_cache import AnswerCache
from chatbot.integrations.queue import JobQueue
from chatbot.integrations.redis import new_client
from chatbot.stages import oversee
from chatbot.stages.hand_over import erase, export
from chatbot.stages.oversee import Overview, overview
from chatbot.stages.withhold import withhold_foreign
from chatbot.store.tenants import all_tenants


def add_to(commands: Any) -> None:
    """Puts the commands in."""
    tenants = group(commands, "tenant", "tenants: whose documents answer whose questions")
    made = tenants.add(
        "create",
        _create,
        "make a tenant; prints its API key, this once",
        epilog="Then give it documents: chatbot document add --tenant NAME FILE...",
    )
    made.add_argument("name", help="a-z, 0-9 and hyphens inside, such as acme")
    tenants.add("list", _list, "every tenant, and whether it is open")
    tenants.add("show", _show, "a tenant's quotas and its use of the last days").add_argument("name")
    suspended = tenants.add(
        "suspend",
        _suspend,
        "the kill switch: refuse the tenant's keys, members and widgets and end its answers within a second, everywhere",
    )
    suspended.add_argument("name")
    suspended.add_argument("--reason", required=True, help="the tenant is shown it")
    tenants.add("resume", _resume, "open a suspended tenant again").add_argument("name")
    budget = tenants.add(
        "budget",
        _budget,
        "set what a tenant may use; without options, show it",
        epilog="A day begins at midnight UTC. 'default' takes a setting back.",
    )
    budget.add_argument("name")
    for quota in Quota:
        budget.add_argument(
            f"--{quota.replace('_', '-')}", metavar="N", help=f"default {DEFAULTS[quota]}", dest=quota.value
        )
    exported = tenants.add(
        "export", _export, "write all that a tenant has into a ZIP: JSON lines, a file for each table"
    )
    exported.add_argument("name")
    exported.add_argument("file", type=Path, metavar="FILE", help="must not exist yet")
    erased = tenants.add(
        "erase",
        _erase,
        "delete a tenant with all that it has, for good; prints a receipt",
        epilog="Needs CHATBOT_REDIS_URL: cached answers and queued jobs go too. The receipt is also in the audit log.",
    )
    erased.add_argument("name")
    erased.add_argument("--confirm", required=True, metavar="NAME", help="the name once more")


async def _create(chosen: argparse.Namespace) -> None:
    async with connected() as db:
        tenant, key = await oversee.create(db, chosen.name, actor=ACTOR)
    text = f"Tenant {tenant.name} is made. Its API key, shown this once:\n{key.text}"
    tell(chosen, text, tenant=tenant.name, tenant_id=tenant.tenant_id, api_key=key.text)


async def _list(chosen: argparse.Namespace) -> None:
    async with connected() as db:
        found = await all_tenants(db)
    rows = [(each.tenant.name, f"since {moment(each.created_at)}", _openness(each)) for each in found]
    text = table(rows, nothing="There is no tenant yet. Make one with: chatbot tenant create NAME.")
    document = [
        {
            "name": each.tenant.name,
            "tenant_id": each.tenant.tenant_id,
            "created_at": each.created_at,
            "suspended_at": each.suspended_at,
            "suspended_reason": each.suspended_reason,
        }
        for each in found
    ]
    tell(chosen, text, tenants=document)


async def _show(chosen: argparse.Namespace) -> None:
    async with acting_for(chosen.name) as (db, by):
        found = await overview(db, by.caller.tenant, today=now().date())
    tell(chosen, _told(found), **_document(found))


async def _suspend(chosen: argparse.Namespace) -> None:
    async with acting_for(chosen.name) as (db, by):
        changed = await oversee.suspend(db, by, reason=chosen.reason)
    text = (
        f"Tenant {chosen.name} is suspended, within a second everywhere. Undo: chatbot tenant resume {chosen.name}"
        if changed
        else f"Tenant {chosen.name} was suspended already; its reason stays."
    )
    tell(chosen, text, tenant=chosen.name, suspended=True, changed=changed)


async def _resume(chosen: argparse.Namespace) -> None:
    async with acting_for(chosen.name) as (db, by):
        changed = await oversee.resume(db, by)
    text = f"Tenant {chosen.name} is open{' again' if changed else ', and was before'}."
    tell(chosen, text, tenant=chosen.name, suspended=False, changed=changed)


async def _budget(chosen: argparse.Namespace) -> None:
    given = {quota: getattr(chosen, quota.value) for quota in Quota}
    changes = {quota: _amount(quota, text) for quota, text in given.items() if text is not None}
    async with acting_for(chosen.name) as (db, by):
        if changes:
            await oversee.set_quotas(db, by, changes)
        found = await overview(db, by.caller.tenant, today=now().date())
    tell(chosen, _told(found), **_document(found))


async def _export(chosen: argparse.Namespace) -> None:
    async with acting_for(chosen.name) as (db, by), detector(config.database_url()) as watch:

        async def check(owners: Sequence[TenantId]) -> None:
            await withhold_foreign(watch, by.caller, owners, source=Source.EXPORT)

        try:
            with chosen.file.open("xb") as file, _gone_if_broken_off(chosen.file):
                counts = await export(db, by, file, check=check)
        except OSError as error:
            raise BadRequest(
                f"{chosen.file} cannot be written: {error.strerror}.",
                remedy="Name a file that does not exist yet.",
            ) from error
    text = f"{sum(counts.values())} rows of {len(counts)} tables are in {chosen.file}."
    tell(chosen, text, file=chosen.file, rows=counts)


@contextmanager
def _gone_if_broken_off(file: Path) -> Generator[None]:
    """Half an export looks like a whole one."""
    try:
        yield
    except BaseException:
        file.unlink(missing_ok=True)
        raise


async def _erase(chosen: argparse.Namespace) -> None:
    if chosen.confirm != chosen.name:
        raise BadRequest(
            f"--confirm says '{chosen.confirm}', the tenant is '{chosen.name}'; nothing was erased.",
            remedy=f"If you mean it: chatbot tenant erase {chosen.name} --confirm {chosen.name}",
        )
    for_cache, for_jobs = (new_client(config.redis_url()) for _ in range(2))
    try:
        async with acting_for(chosen.name) as (db, by):
            erased = await erase(db, by, cache=AnswerCache(for_cache), jobs=JobQueue(for_jobs), now=now())
    finally:
        await for_cache.aclose()
        await for_jobs.aclose()
    receipt = erased.receipt
    rows = [(f"  {table_name}", count) for table_name, count in receipt["rows"].items()]
    rows += [(f"  {name.replace('_', ' ')}", count) for name, count in receipt["shared"].items()]
    text = (
        f"Tenant {receipt['tenant']} ({receipt['tenant_id']}) was erased at {receipt['erased_at']}:\n"
        f"{table(rows, nothing='  nothing')}\n"
        + "".join(f"Kept: {name}: {why}\n" for name, why in receipt["kept"].items())
        + f"Receipt: sha256 {receipt['sha256']}\n"
        f"Audit log: entry {erased.audit_id}, hash {erased.audit_hash}"
    )
    tell(chosen, text, receipt=receipt, audit_entry=erased.audit_id, audit_hash=erased.audit_hash)


def _amount(quota: Quota, text: str) -> int | None:
    if text == "default":
        return None
    if not (text.isascii() and text.isdecimal()):
        raise BadRequest(f"--{quota.replace('_', '-')} is '{text}'; give a whole number, or 'default'.")
    return int(text)


def _openness(state: Any) -> str:
    if state.suspended_at is None:
        return "open"
    return f"suspended {moment(state.suspended_at)}: {state.suspended_reason}"


def _told(found: Overview) -> str:
    latest = found.usage[0] if found.usage else None
    used = (
        {}
        if latest is None
        else {Quota.TOKENS_PER_DAY: latest.tokens, Quota.REQUESTS_PER_DAY: latest.requests}
    )
    rows = [
        (
            f"  {quota.replace('_', ' ')}",
            limit,
            f"used {used[quota]} on {latest.day}" if latest and quota in used else "",
        )
        for quota, limit in found.limits.all().items()
    ]
    return f"{found.state.tenant.name}: {_openness(found.state)}\n{table(rows, nothing='')}"


def _document(found: Overview) -> dict[str, Any]:
    return {
        "name": found.state.tenant.name,
        "tenant_id": found.state.tenant.tenant_id,
        "suspended_reason": found.state.suspended_reason,
        "members": found.members,
        "quotas": found.limits.all(),
        "usage": [asdict(day) for day in found.usage],
    }
