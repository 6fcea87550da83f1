"""What is written into the audit log. The chain of hashes is made in the database, where nobody can go around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from chatbot.core.tenancy import TenantId


class AuditEvent(StrEnum):
    AUTH_FAILURE = "auth_failure"
    TENANT_ISOLATION_VIOLATION = "tenant_isolation_violation"
    TENANT_MISMATCH = "tenant_mismatch"  # a good key, another tenant's name in the body: refused
    TENANT_CREATED = "tenant_created"
    DOCUMENT_ADDED = "document_added"
    FLAG_CHANGED = "flag_changed"
    SETTINGS_CHANGED = "settings_changed"
    BREAKER_CHANGED = "breaker_changed"
    CACHE_CLEARED = "cache_cleared"
    DRAIN_CHANGED = "drain_changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One entry. `actor` is who did it as far as it is proved: a key's prefix, 'admin', 'command line'."""

    event: AuditEvent
    actor: str
    tenant_id: TenantId | None = None
    ip: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict[str, Any])
