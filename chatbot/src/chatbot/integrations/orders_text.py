"""Orders as JSON, for the file and for Redis. Reading raises ValueError, KeyError or TypeError for anything else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from ipaddress import ip_network
from typing import Any
from uuid import UUID

import orjson

from chatbot.core.audit import AuditEntry, AuditEvent
from chatbot.core.blocks import Block
from chatbot.core.flags import KNOWN, Flag
from chatbot.core.orders import Kept, Orders


def text_of(kept: Kept) -> bytes:
    """The whole file."""
    return orjson.dumps(
        {
            "flags": [flag_fields(flag) for flag in kept.orders.flags.values()],
            "blocks": [block_fields(block) for block in kept.orders.blocks.values()],
            "owed": [{"id": str(key), **_entry_fields(entry)} for key, entry in kept.owed.items()],
        },
        option=orjson.OPT_INDENT_2,
    )


def kept_of(text: bytes) -> Kept:
    """What the file says."""
    found = orjson.loads(text)
    return Kept(
        orders=orders_of(found["flags"], found["blocks"]),
        owed={UUID(each["id"]): _entry(each) for each in found["owed"]},
    )


def orders_of(flags: Iterable[Mapping[str, Any]], blocks: Iterable[Mapping[str, Any]]) -> Orders:
    """The orders in these fields. A flag that this program does not know is left out."""
    read_flags = [_flag(fields) for fields in flags if fields["name"] in KNOWN]
    read_blocks = [_block(fields) for fields in blocks]
    return Orders(
        flags={flag.name: flag for flag in read_flags},
        blocks={block.network: block for block in read_blocks},
    )


def flag_fields(flag: Flag) -> dict[str, Any]:
    return {
        "name": flag.name,
        "enabled": flag.enabled,
        "updated_at": flag.updated_at,
        "updated_by": flag.updated_by,
        "message": flag.message,
    }


def block_fields(block: Block) -> dict[str, Any]:
    return {
        "network": str(block.network),
        "reason": block.reason,
        "changed_by": block.changed_by,
        "changed_at": block.changed_at,
        "expires_at": block.expires_at,
        "lifted": block.lifted,
    }


def _flag(fields: Mapping[str, Any]) -> Flag:
    return Flag(
        name=str(fields["name"]),
        enabled=bool(fields["enabled"]),
        updated_at=_moment(fields["updated_at"]),
        updated_by=str(fields["updated_by"]),
        message=None if fields["message"] is None else str(fields["message"]),
    )


def _block(fields: Mapping[str, Any]) -> Block:
    return Block(
        network=ip_network(str(fields["network"])),
        reason=str(fields["reason"]),
        changed_by=str(fields["changed_by"]),
        changed_at=_moment(fields["changed_at"]),
        expires_at=_moment(fields["expires_at"]),
        lifted=bool(fields["lifted"]),
    )


def _entry_fields(entry: AuditEntry) -> dict[str, Any]:
    return {"event": entry.event, "actor": entry.actor, "ip": entry.ip, "detail": dict(entry.detail)}


def _entry(fields: Mapping[str, Any]) -> AuditEntry:
    return AuditEntry(
        event=AuditEvent(fields["event"]),
        actor=str(fields["actor"]),
        ip=fields["ip"],
        detail=dict(fields["detail"]),
    )


def _moment(text: Any) -> datetime:
    moment = datetime.fromisoformat(str(text))
    if moment.tzinfo is None:
        raise ValueError(f"'{text}' has no time zone")
    return moment
