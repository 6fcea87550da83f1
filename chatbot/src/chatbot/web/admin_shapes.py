"""What the admin API answers, field by field. As `shapes`, for operators and remedies."""

from __future__ import annotations

from typing import Any

from chatbot.core.breaker import State
from chatbot.core.quotas import Quota
from chatbot.web.shapes import Id, Shape, Time, Undo


class Flag(Shape):
    """A feature flag as it is in force in this process."""

    name: str
    enabled: bool
    updated_at: Time | None
    updated_by: str | None
    description: str


class Flags(Shape):
    """Every flag."""

    flags: list[Flag]


class FlagChanged(Flag):
    """The flag, and its value before."""

    previous: bool
    undo: Undo


class Maintenance(Shape):
    """Whether the product is closed, and what people are told."""

    enabled: bool
    message: str | None
    updated_at: Time | None
    updated_by: str | None


class MaintenanceBefore(Shape):
    """As it was."""

    enabled: bool
    message: str | None


class MaintenanceChanged(Maintenance):
    """As it is and as it was."""

    previous: MaintenanceBefore
    undo: Undo


class Block(Shape):
    """An address or network that is not answered, while it holds."""

    network: str
    blocked: bool
    seconds_left: int
    expires_at: Time
    reason: str
    changed_by: str
    changed_at: Time


class BlockChanged(Block):
    """The block, and the one before on the same network."""

    previous: Block | None
    undo: Undo


class Blocks(Shape):
    """Those in force, the one that ends first at the head."""

    blocks: list[Block]


class Blocked(Shape):
    """Whether the address is blocked, and by which block."""

    network: str
    blocked: bool
    by: Block | None


class Offender(Shape):
    """A network that failed to sign in: how often at least and at most."""

    network: str
    failures_at_least: int
    failures_at_most: int
    last_seen_seconds_ago: float
    blocked: bool


class Offenders(Shape):
    """Those that failed most often."""

    offenders: list[Offender]
    scope: str


class Breaker(Shape):
    """A circuit breaker of this process, with the calls of its window."""

    name: str
    state: State
    calls: int
    failures: int
    retry_after_seconds: float


class Breakers(Shape):
    """Every breaker of this process."""

    breakers: list[Breaker]
    scope: str


class BreakerChanged(Breaker):
    """The breaker that was named first, its state before, and every breaker that changed."""

    previous: State
    changed: list[str]
    scope: str
    undo: Undo | None
    undo_note: str


class CacheCleared(Shape):
    """How many kept answers were forgotten; `tenant` is null for everybody's."""

    cleared: int
    tenant: str | None
    undo: None
    undo_note: str


class Drain(Shape):
    """Whether this process drains, and how many streams are under way."""

    draining: bool
    running: int
    limit_seconds: float
    scope: str


class DrainChanged(Drain):
    """`audited` is false where PostgreSQL could not take the entry."""

    audited: bool
    undo: Undo


class SettingsInForce(Shape):
    """What answers are made with; models by provider."""

    similarity_top_k: int
    max_tokens: int
    providers: list[str]
    models: dict[str, str]


class Settings(Shape):
    """What is set in this layer, what is in force with it, and the bounds. `tenant` is null for everybody's."""

    tenant: str | None
    set: dict[str, Any]
    in_force: SettingsInForce
    bounds: dict[str, list[int]]


class SettingsChanged(Settings):
    """The settings after the change."""

    undo: Undo


class Tenant(Shape):
    """A tenant, and whether it is open."""

    name: str
    tenant_id: Id
    created_at: Time
    suspended_at: Time | None
    suspended_reason: str | None


class Tenants(Shape):
    """Every tenant by name."""

    tenants: list[Tenant]


class NewTenant(Shape):
    """The text of its first API key is in this answer and nowhere else."""

    name: str
    tenant_id: Id
    api_key: str
    prefix: str
    undo: Undo


class Suspension(Shape):
    """Whether the tenant is suspended now, and whether that is a change."""

    name: str
    suspended: bool
    changed: bool
    undo: Undo


class QuotasChanged(Shape):
    """Null stands for the default."""

    quotas: dict[Quota, int | None]
    previous: dict[Quota, int | None]
    undo: Undo


class Receipt(Shape):
    """What was deleted by table, what was found outside of PostgreSQL, what is kept and why; and a hash of all that."""

    tenant: str
    tenant_id: Id
    erased_at: Time
    erased_by: str
    rows: dict[str, int]
    shared: dict[str, int]
    kept: dict[str, str]
    sha256: str


class Erased(Shape):
    """The receipt, and where it stands in the audit log."""

    receipt: Receipt
    audit_entry: int
    audit_hash: str
    undo: None
