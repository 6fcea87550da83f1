"""Tenants and the keys that open them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import NewType
from uuid import UUID

from chatbot.errors import BadRequest, TenantIsolationViolation

TenantId = NewType("TenantId", UUID)

# A key is bitb_<prefix>_<secret>: the prefix is shown in lists, the secret has 256 random bits, so one
# round of SHA-256 is enough to keep it and no salt is needed.
PREFIX_BYTES = 4
SECRET_BYTES = 32
# Names of tenants that the service keeps for itself (core/canary.py).
RESERVED_PREFIX = "bitb-canary-"
KEY_BYTES = PREFIX_BYTES + SECRET_BYTES
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """Whose documents are asked. `name` is what people type; `tenant_id` is what the database compares."""

    tenant_id: TenantId
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantState:
    """A tenant as operators see it. Suspended: since when and why, else None twice."""

    tenant: Tenant
    created_at: datetime
    suspended_at: datetime | None
    suspended_reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key at the only moment when its text is known. Never shown by `repr`."""

    prefix: str
    text: str

    def __repr__(self) -> str:
        return f"ApiKey(prefix={self.prefix!r}, ...)"


def api_key(random_bytes: bytes) -> ApiKey:
    """The key made from KEY_BYTES random bytes."""
    prefix = random_bytes[:PREFIX_BYTES].hex()
    return ApiKey(prefix=prefix, text=f"bitb_{prefix}_{random_bytes[PREFIX_BYTES:].hex()}")


def key_hash(text: str) -> bytes:
    """What is stored of a key: 32 bytes of SHA-256."""
    return hashlib.sha256(text.encode()).digest()


def check_tenant_name(name: str) -> str:
    """The name itself. Raises BadRequest unless it is 1 to 63 of a-z, 0-9 and inner hyphens, and not reserved."""
    if not _NAME.fullmatch(name) or name.startswith(RESERVED_PREFIX):
        raise BadRequest(
            f"'{name[:80]}' cannot be a tenant's name: 1 to 63 characters of a-z, 0-9 and hyphens inside,"
            f" not beginning with {RESERVED_PREFIX}.",
            remedy="Choose a name such as acme or acme-test.",
        )
    return name


def same_tenant(found: TenantId, *, wanted: TenantId, source: str) -> None:
    """The second lock behind row-level security, which is silent. Raises TenantIsolationViolation."""
    if found != wanted:
        raise TenantIsolationViolation(f"A row of another tenant came back from {source}; it was withheld.")
