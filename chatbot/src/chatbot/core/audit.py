"""What is written into the audit log. The chain of hashes is made in the database, where nobody can go around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from chatbot.core.client_address import Address
from chatbot.core.tenancy import TenantId


class AuditEvent(StrEnum):
    AUTH_FAILURE = "auth_failure"
    TENANT_ISOLATION_VIOLATION = "tenant_isolation_violation"
    TENANT_MISMATCH = "tenant_mismatch"  # a good key, another tenant's name in the body: refused
    TENANT_CREATED = "tenant_created"
    TENANT_SUSPENDED = "tenant_suspended"
    TENANT_RESUMED = "tenant_resumed"
    TENANT_EXPORTED = "tenant_exported"
    TENANT_ERASED = "tenant_erased"  # its detail is the receipt
    QUOTAS_CHANGED = "quotas_changed"
    MEMBER_INVITED = "member_invited"
    MEMBER_CHANGED = "member_changed"
    MEMBER_REMOVED = "member_removed"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - the name of an event
    SIGNED_IN = "signed_in"
    SIGNED_OUT = "signed_out"
    REFRESH_TOKEN_REUSED = "refresh_token_reused"  # noqa: S105 - a copied token was shown: the session is ended
    API_KEY_CREATED = "api_key_created"
    API_KEY_REVOKED = "api_key_revoked"
    WIDGET_KEY_CREATED = "widget_key_created"
    WIDGET_KEY_CHANGED = "widget_key_changed"
    WIDGET_KEY_REVOKED = "widget_key_revoked"
    DOCUMENT_ADDED = "document_added"  # a revision is queued
    DOCUMENT_READY = "document_ready"
    DOCUMENT_FAILED = "document_failed"
    DOCUMENT_DELETED = "document_deleted"
    FLAG_CHANGED = "flag_changed"
    SETTINGS_CHANGED = "settings_changed"
    BREAKER_CHANGED = "breaker_changed"
    CACHE_CLEARED = "cache_cleared"
    DRAIN_CHANGED = "drain_changed"
    IP_BLOCKED = "ip_blocked"
    IP_UNBLOCKED = "ip_unblocked"
    SIGN_IN_UNLOCKED = "sign_in_unlocked"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One entry. `actor` is who did it as far as it is proved: a key's prefix, 'admin', 'command line'."""

    event: AuditEvent
    actor: str
    tenant_id: TenantId | None = None
    ip: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """Who orders it, as far as it is proved: 'admin' from an address, or the command line."""

    actor: str
    address: Address | None = None
    on_behalf_of: str | None = None

    @property
    def ip(self) -> str | None:
        return str(self.address) if self.address else None
