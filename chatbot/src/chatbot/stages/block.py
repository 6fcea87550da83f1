"""Network blocked or unblocked, audited; in force here at once, elsewhere within a second, with any database down."""

from __future__ import annotations

from datetime import timedelta

import structlog

from chatbot.core.audit import AuditEntry, AuditEvent, Operator
from chatbot.core.blocks import (
    LONGEST,
    MOST_BLOCKS,
    Block,
    BlockChange,
    check_harmless,
    parse_network,
)
from chatbot.core.client_address import Network, holds_all, parse_address
from chatbot.core.orders import Orders, moment_after
from chatbot.errors import BadRequest, Conflict, NotFound
from chatbot.stages.agree import give, now_of
from chatbot.stages.ports import Outside
from chatbot.store.blocks import save_blocks

log = structlog.get_logger()


async def block(
    outside: Outside, ip: str, operator: Operator, *, seconds: int, reason: str, force: bool
) -> BlockChange:
    """Blocks an address or network for a time. Raises BadRequest, and Conflict when there are too many blocks.

    `force` blocks also a trusted proxy, this machine, or the caller's own address.
    """
    network = parse_network(ip)
    if not 0 < seconds <= LONGEST.total_seconds():
        raise BadRequest(
            f"{seconds} seconds: a block lasts from 1 second to {LONGEST.days} days.",
            remedy="Choose a time between.",
        )
    if not force:
        check_harmless(network, trusted=outside.trusted_proxies, caller=operator.address)
    now = now_of(outside)
    held = outside.orders.held.blocks.get(network)
    if held is None and len(outside.orders.held.blocks) >= MOST_BLOCKS:
        raise Conflict(
            f"{MOST_BLOCKS} networks are blocked already.",
            remedy="Block a wider network, or unblock some first.",
        )
    new = Block(
        network=network,
        reason=reason,
        changed_by=operator.actor,
        changed_at=moment_after(now, held and held.changed_at),
        expires_at=now + timedelta(seconds=seconds),
    )
    change = BlockChange(block=new, previous=held if held and held.holds(now) else None)
    await _give(outside, change, operator, event=AuditEvent.IP_BLOCKED, seconds=seconds)
    return change


async def unblock(outside: Outside, ip: str, operator: Operator) -> BlockChange:
    """Ends the block of exactly this address or network. Raises BadRequest, and NotFound when it is not blocked."""
    network = parse_network(ip)
    now = now_of(outside)
    held = outside.orders.held.blocks.get(network)
    if held is None or not held.holds(now):
        raise NotFound(f"{network} is not blocked.", remedy=_hint(outside, ip))
    lifted = Block(
        network=network,
        reason=held.reason,
        changed_by=operator.actor,
        changed_at=moment_after(now, held.changed_at),
        expires_at=held.expires_at,
        lifted=True,
    )
    change = BlockChange(block=lifted, previous=held)
    await _give(outside, change, operator, event=AuditEvent.IP_UNBLOCKED, seconds=held.seconds_left(now))
    return change


def blocks_in_force(outside: Outside) -> list[Block]:
    """All of them, the one that ends first at the head."""
    now = now_of(outside)
    return sorted(
        (each for each in outside.orders.held.blocks.values() if each.holds(now)),
        key=lambda each: each.expires_at,
    )


def block_on(outside: Outside, ip: str) -> tuple[Network, Block | None]:
    """The network that is meant, and the narrowest block in force on the whole of it. Raises BadRequest."""
    network = parse_network(ip)
    on_it = (each for each in blocks_in_force(outside) if holds_all(each.network, network))
    return network, max(on_it, key=lambda each: each.network.prefixlen, default=None)


async def _give(
    outside: Outside, change: BlockChange, operator: Operator, *, event: AuditEvent, seconds: int
) -> None:
    new = change.block
    detail = {
        "network": str(new.network),
        "seconds": seconds,
        "reason": new.reason,
        "on_behalf_of": operator.on_behalf_of,
    }
    entry = AuditEntry(event=event, actor=operator.actor, ip=operator.ip, detail=detail)
    await give(outside, Orders(blocks={new.network: new}), entry, save=lambda conn: save_blocks(conn, (new,)))
    log.info(event, **detail)


def _hint(outside: Outside, ip: str) -> str:
    address = parse_address(ip)
    if address and (covering := outside.orders.blocklist.covering(address, now_of(outside))):
        return f"It is within {covering.network}, which is: unblock that."
    return "GET /api/admin/blocks lists those that are."
