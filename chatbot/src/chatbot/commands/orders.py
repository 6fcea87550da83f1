"""chatbot block add · list · remove; maintenance; unlock. Orders that can be given with PostgreSQL and Redis down."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from chatbot import config
from chatbot.bootstrap import outside
from chatbot.core.audit import AuditEntry, AuditEvent, Operator
from chatbot.core.defence import account_of
from chatbot.core.flags import MAINTENANCE
from chatbot.errors import QueueUnavailable, StoreUnavailable
from chatbot.stages.agree import agree
from chatbot.stages.block import block, blocks_in_force, unblock
from chatbot.stages.defend import forgive
from chatbot.stages.ports import Outside
from chatbot.stages.switch import switch
from chatbot.store import audit
from chatbot.store.tenants import tenant_of_name
from chatbot.telemetry import configure_logging

OPERATOR = Operator(actor="command line")


def add_to(commands: Any) -> None:
    """Puts the commands in."""
    blocks = commands.add_parser("block", help="addresses that are not answered").add_subparsers(
        required=True, metavar="COMMAND"
    )
    add = blocks.add_parser("add", help="do not answer an address or network for a time")
    add.add_argument("ip")
    add.add_argument("--seconds", type=int, default=3600, help="for how long; default 3600")
    add.add_argument("--reason", required=True)
    add.add_argument("--force", action="store_true", help="also a trusted proxy or this machine")
    add.set_defaults(run=_block)
    remove = blocks.add_parser("remove", help="answer it again")
    remove.add_argument("ip")
    remove.set_defaults(run=_unblock)
    blocks.add_parser("list", help="the blocks in force").set_defaults(run=_list_blocks)

    maintenance = commands.add_parser("maintenance", help="close the product for a while, or open it again")
    maintenance.add_argument("to", choices=("on", "off"))
    maintenance.add_argument("--message", help="what people are told")
    maintenance.set_defaults(run=_maintain)

    unlock = commands.add_parser("unlock", help="forget a member's failed sign-ins")
    unlock.add_argument("--tenant", required=True)
    unlock.add_argument("email")
    unlock.set_defaults(run=_unlock)


def _block(chosen: argparse.Namespace) -> None:
    async def order(parts: Outside) -> str:
        change = await block(
            parts, chosen.ip, OPERATOR, seconds=chosen.seconds, reason=chosen.reason, force=chosen.force
        )
        return f"{change.block.network} is not answered until {change.block.expires_at:%Y-%m-%d %H:%M} UTC."

    _order(order)


def _unblock(chosen: argparse.Namespace) -> None:
    async def order(parts: Outside) -> str:
        return f"{(await unblock(parts, chosen.ip, OPERATOR)).block.network} is answered again."

    _order(order)


def _list_blocks(_: argparse.Namespace) -> None:
    async def order(parts: Outside) -> str:
        lines = [
            f"{each.network}  until {each.expires_at:%Y-%m-%d %H:%M} UTC  {each.reason}"
            for each in blocks_in_force(parts)
        ]
        return "\n".join(lines) or "Nothing is blocked."

    _order(order)


def _maintain(chosen: argparse.Namespace) -> None:
    async def order(parts: Outside) -> str:
        on = chosen.to == "on"
        await switch(parts, MAINTENANCE, OPERATOR, enabled=on, message=chosen.message)
        return "The product is closed for maintenance." if on else "The product is open."

    _order(order)


def _unlock(chosen: argparse.Namespace) -> None:
    async def order(parts: Outside) -> str:
        tenant = await tenant_of_name(parts.database, chosen.tenant)
        account = account_of(tenant=chosen.tenant, email=chosen.email)
        if not await forgive(parts, account):
            raise QueueUnavailable("Redis does not answer; the failures are there.")
        entry = AuditEntry(
            event=AuditEvent.SIGN_IN_UNLOCKED,
            actor=OPERATOR.actor,
            tenant_id=tenant.tenant_id,
            detail={"account": account[:12]},
        )
        await audit.record(parts.database, entry)
        return f"The failed sign-ins of {chosen.email} at {chosen.tenant} are forgotten."

    _order(order)


def _order(order: Callable[[Outside], Awaitable[str]]) -> None:
    """Gives an order by every way that can be reached: PostgreSQL, Redis, and the file that the server looks at."""
    settings = config.load_settings()
    configure_logging(level="CRITICAL", folder=None)  # what happened is said in a sentence

    async def give() -> str:
        async with outside(settings) as parts:
            with suppress(StoreUnavailable):
                await parts.database.verify()
            await agree(parts)
            done = await order(parts)
            if parts.orders.owed:
                done += f" PostgreSQL cannot be reached: {_who_learns(settings)}"
            return done

    print(asyncio.run(give()))


def _who_learns(settings: config.Settings) -> str:
    if settings.flags_file is None:
        return (
            "servers learn of it by Redis only; set CHATBOT_FLAGS_FILE to a file that a server reads as well."
        )
    return f"servers learn of it by Redis, and from {settings.flags_file}."
