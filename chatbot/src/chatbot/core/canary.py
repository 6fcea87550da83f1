"""Two reserved tenants. A secret is planted in the keeper; the asker must never see it, the keeper always must.

The migrations hide them from every list; they have no keys, no members and no budget.
"""

from __future__ import annotations

from uuid import UUID

from chatbot.core.tenancy import Tenant, TenantId

KEEPER = Tenant(tenant_id=TenantId(UUID("ca9a0000-0000-4000-8000-000000000001")), name="bitb-canary-keeper")
ASKER = Tenant(tenant_id=TenantId(UUID("ca9a0000-0000-4000-8000-000000000002")), name="bitb-canary-asker")
RESERVED = frozenset({KEEPER.tenant_id, ASKER.tenant_id})
