"""The kill switch reaches streams: a process asks which of the tenants whose answers it streams are closed.

Revision ID: 0008
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# An erased tenant is closed too. The canaries are hidden from this function's owner, and have no streams.
CLOSED = """
CREATE FUNCTION closed_tenants(wanted uuid[]) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT w FROM unnest(wanted) AS w
     WHERE NOT EXISTS (SELECT FROM public.tenants t WHERE t.id = w AND t.suspended_at IS NULL)
$$;
ALTER FUNCTION closed_tenants(uuid[]) OWNER TO chatbot_directory;
REVOKE ALL ON FUNCTION closed_tenants(uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION closed_tenants(uuid[]) TO chatbot_app;
"""


def upgrade() -> None:
    op.execute(CLOSED)


def downgrade() -> None:
    raise RuntimeError("Going back would stream on to suspended tenants: restore a backup instead.")
