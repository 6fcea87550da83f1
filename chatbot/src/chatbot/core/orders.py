"""What operators ordered and what holds until it is taken back: flags and blocks.

The same orders are kept in memory, in PostgreSQL, in Redis and in a file, so that they hold and can be given with any of
these gone. Of two readings of one order the later change wins, wherever it was read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from chatbot.core import blocks, flags
from chatbot.core.audit import AuditEntry
from chatbot.core.blocks import Block
from chatbot.core.client_address import Network
from chatbot.core.flags import Flag


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """Flags by name, only those that were ever set; blocks by network."""

    flags: Mapping[str, Flag] = field(default_factory=dict[str, Flag])
    blocks: Mapping[Network, Block] = field(default_factory=dict[Network, Block])

    def __bool__(self) -> bool:
        return bool(self.flags or self.blocks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a file keeps: the orders, and the audit entries that PostgreSQL is still owed."""

    orders: Orders = field(default_factory=Orders)
    owed: Mapping[UUID, AuditEntry] = field(default_factory=dict[UUID, AuditEntry])


def newest(held: Orders, read: Orders) -> Orders:
    """Both together; of two readings of one order the one that was changed later."""
    merged_flags, merged_blocks = dict(held.flags), dict(held.blocks)
    for name, flag in read.flags.items():
        merged_flags[name] = flags.later(merged_flags[name], flag) if name in merged_flags else flag
    for network, block in read.blocks.items():
        merged_blocks[network] = (
            blocks.later(merged_blocks[network], block) if network in merged_blocks else block
        )
    return Orders(flags=merged_flags, blocks=merged_blocks)


def missing(there: Orders, held: Orders) -> Orders:
    """What of `held` is newer than `there`, or not there at all."""
    merged = newest(there, held)
    return Orders(
        flags={name: flag for name, flag in merged.flags.items() if there.flags.get(name) != flag},
        blocks={
            network: block for network, block in merged.blocks.items() if there.blocks.get(network) != block
        },
    )


def moment_after(now: datetime, held: datetime | None) -> datetime:
    """Now, or just after the change that is held: a change here must win although another machine's clock is ahead."""
    return now if held is None or now > held else held + timedelta(microseconds=1)
