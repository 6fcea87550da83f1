"""chatbot key create · list · revoke, for servers; chatbot widget create · list · origins · revoke, for pages."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from chatbot.commands.acting import acting_for, group, moment, now, table, tell
from chatbot.errors import BadRequest
from chatbot.stages import administer
from chatbot.store.api_keys import keys_of
from chatbot.store.widget_keys import widget_keys_of

MOST_DAYS = 3650


def add_to(commands: Any) -> None:
    """Puts the commands in."""
    keys = group(commands, "key", "API keys: what a tenant's own servers show")
    made = keys.add(
        "create",
        _create_key,
        "make an API key; it is printed this once",
        epilog="Send it as X-Api-Key. Never put it into a page: pages get a widget key.",
    )
    made.add_argument("--tenant", required=True)
    made.add_argument("--name", default="unnamed", help="by which people know it, such as 'web shop'")
    made.add_argument("--days", type=int, help="it ends after so many; without, it does not end")
    keys.add("list", _list_keys, "a tenant's API keys, by prefix").add_argument("--tenant", required=True)
    revoked = keys.add("revoke", _revoke_key, "end an API key for good, within a second everywhere")
    revoked.add_argument("--tenant", required=True)
    revoked.add_argument("prefix", help="as 'chatbot key list' shows it")

    widgets = group(commands, "widget", "widget keys: publishable, good from the origins listed and no other")
    made = widgets.add(
        "create",
        _create_widget,
        "make a publishable key for pages",
        epilog="An origin is scheme, host and port, such as https://www.example.com. No wildcards; with none, nowhere.",
    )
    made.add_argument("--tenant", required=True)
    made.add_argument("--name", default="unnamed", help="by which people know it")
    made.add_argument(
        "--origin", action="append", default=[], metavar="ORIGIN", help="may be given more than once"
    )
    widgets.add("list", _list_widgets, "a tenant's widget keys with their origins").add_argument(
        "--tenant", required=True
    )
    changed = widgets.add("origins", _set_origins, "let a key be used from these origins and no other")
    _which_widget(changed)
    changed.add_argument("origins", nargs="*", metavar="ORIGIN", help="none: from nowhere")
    _which_widget(
        widgets.add("revoke", _revoke_widget, "end a widget key for good, and its sessions within a second")
    )


def _which_widget(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tenant", required=True)
    parser.add_argument("key", help="the whole key, pk_...")


async def _create_key(chosen: argparse.Namespace) -> None:
    if chosen.days is not None and not 0 < chosen.days <= MOST_DAYS:
        raise BadRequest(f"--days is {chosen.days}; 1 to {MOST_DAYS}.")
    expires_at = None if chosen.days is None else now() + timedelta(days=chosen.days)
    async with acting_for(chosen.tenant) as (db, by):
        key = await administer.create_key(db, by, name=chosen.name, expires_at=expires_at)
    end = f", until {moment(expires_at)}" if expires_at else ""
    text = f"An API key of {chosen.tenant}{end}, shown this once:\n{key.text}"
    tell(chosen, text, prefix=key.prefix, api_key=key.text, expires_at=expires_at)


async def _list_keys(chosen: argparse.Namespace) -> None:
    async with acting_for(chosen.tenant) as (db, by), db.tenant(by.caller.tenant.tenant_id) as conn:
        found = await keys_of(conn, by.caller.tenant.tenant_id)
    rows = [
        (
            each.prefix,
            each.name,
            f"used {moment(each.last_used_at)}",
            f"revoked {moment(each.revoked_at)}" if each.revoked_at
            else f"until {moment(each.expires_at)}" if each.expires_at else "",
        )
        for each in found
    ]  # fmt: skip
    tell(chosen, table(rows, nothing="No key."), keys=[asdict(each) for each in found])


async def _revoke_key(chosen: argparse.Namespace) -> None:
    async with acting_for(chosen.tenant) as (db, by):
        await administer.revoke_key(db, by, chosen.prefix)
    tell(chosen, f"The key {chosen.prefix} is revoked.", prefix=chosen.prefix, revoked=True)


async def _create_widget(chosen: argparse.Namespace) -> None:
    async with acting_for(chosen.tenant) as (db, by):
        key = await administer.create_widget_key(db, by, name=chosen.name, origins=chosen.origin)
    where = ", ".join(chosen.origin) or "nowhere yet: chatbot widget origins"
    tell(
        chosen, f"A widget key of {chosen.tenant}, good from {where}:\n{key}", key=key, origins=chosen.origin
    )


async def _list_widgets(chosen: argparse.Namespace) -> None:
    async with acting_for(chosen.tenant) as (db, by), db.tenant(by.caller.tenant.tenant_id) as conn:
        found = await widget_keys_of(conn, by.caller.tenant.tenant_id)
    rows = [
        (each.key, each.name, "revoked" if each.revoked_at else ", ".join(each.origins) or "nowhere")
        for each in found
    ]
    tell(chosen, table(rows, nothing="No widget key."), widget_keys=[asdict(each) for each in found])


async def _set_origins(chosen: argparse.Namespace) -> None:
    async with acting_for(chosen.tenant) as (db, by):
        before = await administer.set_widget_origins(db, by, chosen.key, chosen.origins)
    text = f"Good from {', '.join(chosen.origins) or 'nowhere'} within a second; before: {', '.join(before.origins) or 'nowhere'}."
    tell(chosen, text, key=chosen.key, origins=chosen.origins, previous=before.origins)


async def _revoke_widget(chosen: argparse.Namespace) -> None:
    async with acting_for(chosen.tenant) as (db, by):
        await administer.revoke_widget_key(db, by, chosen.key)
    tell(chosen, "The widget key is revoked.", key=chosen.key, revoked=True)
