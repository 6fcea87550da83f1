"""The admin API's orders that must hold with every database down: blocked addresses, and maintenance."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from chatbot.core.blocks import LONGEST, Block, BlockChange, parse_network
from chatbot.core.flags import MAINTENANCE, Flag
from chatbot.core.offenders import Offender
from chatbot.stages.agree import now_of
from chatbot.stages.block import block, block_on, blocks_in_force, unblock
from chatbot.stages.ports import Outside
from chatbot.stages.switch import switch
from chatbot.web import admin_shapes
from chatbot.web.admin import By, admin_only
from chatbot.web.state import outside_of

# One line of printable text: it goes into logs, the audit log and what people read.
_LINE = r"^[^\x00-\x1f\x7f-\x9f]*$"
router = APIRouter(prefix="/api/admin", dependencies=[Depends(admin_only)])


class BlockBody(BaseModel):
    """Whom not to answer, for how long, and why. `force`: also if that is a trusted proxy, this machine or the caller."""

    model_config = ConfigDict(extra="forbid", strict=True)

    ip: Annotated[str, Field(min_length=2, max_length=60)]
    seconds: Annotated[int, Field(ge=1, le=int(LONGEST.total_seconds()))]
    reason: Annotated[str, Field(min_length=1, max_length=200, pattern=_LINE)]
    force: bool = False


class MaintenanceBody(BaseModel):
    """Whether the product is closed, and what people are told meanwhile."""

    model_config = ConfigDict(extra="forbid", strict=True)

    enabled: bool
    message: Annotated[str, Field(min_length=1, max_length=300, pattern=_LINE)] | None = None


@router.post("/blocks", response_model=admin_shapes.BlockChanged)
async def block_address(request: Request, body: BlockBody, operator: By) -> dict[str, Any]:
    """Does not answer an address or network for a time. In force here at once, elsewhere within a second."""
    outside = outside_of(request)
    change = await block(
        outside, body.ip, operator, seconds=body.seconds, reason=body.reason, force=body.force
    )
    return _changed(outside, change)


@router.get("/blocks", response_model=admin_shapes.Blocks)
async def list_blocks(request: Request) -> dict[str, Any]:
    """The blocks in force, the one that ends first at the head."""
    outside = outside_of(request)
    return {"blocks": [_block(outside, each) for each in blocks_in_force(outside)]}


@router.get("/blocks/{ip:path}", response_model=admin_shapes.Blocked)
async def read_block(request: Request, ip: str) -> dict[str, Any]:
    """Whether the address or network is blocked, and by which block: its own, or that of a network around it."""
    outside = outside_of(request)
    network, found = block_on(outside, ip)
    return {
        "network": str(network),
        "blocked": found is not None,
        "by": None if found is None else _block(outside, found),
    }


@router.delete("/blocks/{ip:path}", response_model=admin_shapes.BlockChanged)
async def unblock_address(request: Request, ip: str, operator: By) -> dict[str, Any]:
    """Answers the address or network again. A network is named as it was blocked, such as 203.0.113.0/24."""
    outside = outside_of(request)
    return _changed(outside, await unblock(outside, ip, operator))


@router.get("/top-offenders", response_model=admin_shapes.Offenders)
async def list_offenders(request: Request, most: Annotated[int, Query(ge=1, le=100)] = 10) -> dict[str, Any]:
    """The addresses that failed to sign in most often, in this process; half of the past is forgotten every ten minutes."""
    outside = outside_of(request)
    now = outside.clocks.monotonic()
    return {
        "offenders": [_offender(outside, each, now) for each in outside.offenders.top(most)],
        "scope": "this process, until it restarts",
    }


@router.get("/maintenance", response_model=admin_shapes.Maintenance)
async def read_maintenance(request: Request) -> dict[str, Any]:
    """Whether the product is closed, and what people are told."""
    return _maintenance(outside_of(request).flags.all()[MAINTENANCE])


@router.put("/maintenance", response_model=admin_shapes.MaintenanceChanged)
async def change_maintenance(request: Request, body: MaintenanceBody, operator: By) -> dict[str, Any]:
    """Closes the product with 503 and a message, or opens it again. Works with PostgreSQL and Redis down."""
    change = await switch(
        outside_of(request), MAINTENANCE, operator, enabled=body.enabled, message=body.message
    )
    return {
        **_maintenance(change.flag),
        "previous": {"enabled": change.previous.enabled, "message": change.previous.message},
        "undo": change.undo(),
    }


def _changed(outside: Outside, change: BlockChange) -> dict[str, Any]:
    now = now_of(outside)
    previous = None if change.previous is None else _block(outside, change.previous)
    return {**_block(outside, change.block), "previous": previous, "undo": change.undo(now)}


def _block(outside: Outside, block: Block) -> dict[str, Any]:
    now = now_of(outside)
    return {
        "network": str(block.network),
        "blocked": block.holds(now),
        "seconds_left": block.seconds_left(now),
        "expires_at": block.expires_at.isoformat(),
        "reason": block.reason,
        "changed_by": block.changed_by,
        "changed_at": block.changed_at.isoformat(),
    }


def _offender(outside: Outside, each: Offender, now: float) -> dict[str, Any]:
    network = parse_network(each.name)
    return {
        "network": str(network),
        "failures_at_least": each.surely,
        "failures_at_most": each.count,
        "last_seen_seconds_ago": round(now - each.last_seen, 1),
        "blocked": outside.orders.blocklist.covering(network.network_address, now_of(outside)) is not None,
    }


def _maintenance(flag: Flag) -> dict[str, Any]:
    return {
        "enabled": flag.enabled,
        "message": flag.message,
        "updated_at": flag.updated_at.isoformat() if flag.updated_at else None,
        "updated_by": flag.updated_by,
    }
