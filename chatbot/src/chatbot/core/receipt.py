"""The receipt of an erased tenant: what was deleted, and a hash by which two copies can be compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chatbot.core.tenancy import Tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """`rows` is by table; `shared` is what was found outside of PostgreSQL: cached answers, queued jobs.

    `kept` says what stays, and why.
    """

    tenant: Tenant
    erased_at: datetime
    erased_by: str
    rows: Mapping[str, int]
    shared: Mapping[str, int]
    kept: Mapping[str, str]

    def body(self) -> dict[str, Any]:
        """The receipt as it is kept in the audit log and shown, with its hash."""
        said = {
            "tenant": self.tenant.name,
            "tenant_id": str(self.tenant.tenant_id),
            "erased_at": self.erased_at.isoformat(),
            "erased_by": self.erased_by,
            "rows": dict(self.rows),
            "shared": dict(self.shared),
            "kept": dict(self.kept),
        }
        return {**said, "sha256": digest(said)}


def digest(said: Mapping[str, Any]) -> str:
    """SHA-256 of the receipt without its hash: JSON with sorted keys and no blanks."""
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
