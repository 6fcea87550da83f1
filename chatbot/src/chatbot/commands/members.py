"""chatbot member add · list · invite · role · remove."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from chatbot import config
from chatbot.commands.acting import acting_for, group, moment, now, table, tell
from chatbot.core.caller import Role
from chatbot.core.credentials import check_email, check_password
from chatbot.integrations.passwords import Passwords
from chatbot.stages import administer
from chatbot.stages.administer import Invited
from chatbot.store.members import members_of


def add_to(commands: Any) -> None:
    """Puts the commands in."""
    members = group(commands, "member", "members of a tenant: people who sign in")
    added = members.add(
        "add",
        _add,
        "add a member; prints a link by which they choose a password, good once and for three days",
        epilog="An admin manages members, API keys and widget keys; a member asks and sees the documents.",
    )
    _whom(added)
    added.add_argument("--role", choices=[role.value for role in Role], default=Role.MEMBER.value)
    added.add_argument(
        "--password-stdin", action="store_true", help="take a password from standard input instead"
    )
    listed = members.add("list", _list, "a tenant's members")
    listed.add_argument("--tenant", required=True)
    _whom(
        members.add("invite", _invite, "print a new link, for a forgotten password too; older links are void")
    )
    changed = members.add("role", _role, "make a member an admin, or no longer one")
    _whom(changed)
    changed.add_argument("role", choices=[role.value for role in Role])
    _whom(members.add("remove", _remove, "remove a member; what was signed in ends within a second"))


def _whom(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tenant", required=True)
    parser.add_argument("email")


async def _add(chosen: argparse.Namespace) -> None:
    made: str | None = None
    if chosen.password_stdin:
        password = sys.stdin.readline().rstrip("\n")
        check_password(password, email=check_email(chosen.email), tenant_name=chosen.tenant)
        made = await Passwords().hash(password)
    async with acting_for(chosen.tenant) as (db, by):
        invited = await administer.add_member(
            db, by, email=chosen.email, role=Role(chosen.role), now=now(), password_hash=made
        )
    _tell_invited(chosen, invited)


async def _list(chosen: argparse.Namespace) -> None:
    async with acting_for(chosen.tenant) as (db, by), db.tenant(by.caller.tenant.tenant_id) as conn:
        found = await members_of(conn, by.caller.tenant.tenant_id)
    rows = [
        (
            each.email,
            each.role,
            "invited" if each.password_hash is None else f"signed in {moment(each.last_sign_in_at)}",
        )
        for each in found
    ]
    text = table(
        rows, nothing=f"Nobody yet. Add one with: chatbot member add --tenant {chosen.tenant} EMAIL."
    )
    document = [
        {"id": each.id, "email": each.email, "role": each.role, "invited": each.password_hash is None}
        for each in found
    ]
    tell(chosen, text, members=document)


async def _invite(chosen: argparse.Namespace) -> None:
    async with acting_for(chosen.tenant) as (db, by):
        member_id = await administer.member_named(db, by.caller, chosen.email)
        invited = await administer.invite_again(db, by, member_id, now=now())
    _tell_invited(chosen, invited)


async def _role(chosen: argparse.Namespace) -> None:
    async with acting_for(chosen.tenant) as (db, by):
        member_id = await administer.member_named(db, by.caller, chosen.email)
        previous = await administer.change_role(db, by, member_id, Role(chosen.role))
    text = f"{chosen.email} is {chosen.role} now, and was {previous}."
    tell(chosen, text, member_id=member_id, role=chosen.role, previous=previous)


async def _remove(chosen: argparse.Namespace) -> None:
    async with acting_for(chosen.tenant) as (db, by):
        member_id = await administer.member_named(db, by.caller, chosen.email)
        await administer.remove_member(db, by, member_id)
    tell(chosen, f"{chosen.email} is removed.", member_id=member_id, removed=True)


def _tell_invited(chosen: argparse.Namespace, invited: Invited) -> None:
    link = f"{config.public_url()}/join#invitation={invited.invitation}" if invited.invitation else None
    text = f"{invited.email} is {invited.role} of {chosen.tenant}"
    text += f". Send this link; it is shown this once:\n{link}" if link else " and can sign in."
    tell(
        chosen,
        text,
        member_id=invited.member_id,
        email=invited.email,
        role=invited.role,
        invitation=invited.invitation,
        link=link,
    )
