"""The kill switch reaches the worker: documents of a suspended tenant wait until it is open again.

Revision ID: 0007
"""

from alembic import op

revision = "0007"
down_revision = "0003"
branch_labels = None
depends_on = None

# Not by a join: the canaries are hidden from this function's owner, and their documents are due all the same.
DUE = """
CREATE OR REPLACE FUNCTION due_revisions(at timestamptz, most integer)
RETURNS TABLE (tenant_id uuid, document_id uuid, revision integer, attempt integer)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT r.tenant_id, r.document_id, r.revision, r.attempt FROM public.revisions r
     WHERE ((r.status = 'queued' AND r.due_at <= at)
            OR (r.status IN ('parsing', 'embedding') AND r.lease_until <= at))
       AND NOT EXISTS (SELECT FROM public.tenants t WHERE t.id = r.tenant_id AND t.suspended_at IS NOT NULL)
     ORDER BY r.due_at LIMIT most
$$;
"""


def upgrade() -> None:
    op.execute(DUE)


def downgrade() -> None:
    raise RuntimeError("Going back would read documents of suspended tenants: restore a backup instead.")
