"""Isolation: what the responder must be told of, and two reserved tenants that no list shows.

Revision ID: 0006
"""

from alembic import op

revision = "0006"
down_revision = "0001"
branch_labels = None
depends_on = None

# Belongs to the operators, not to a tenant: identifiers and counts of a violation, as they are sent.
OUTBOX = """
CREATE TABLE security_outbox (
    id          uuid PRIMARY KEY,
    body        text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    due_at      timestamptz NOT NULL,
    attempts    integer NOT NULL DEFAULT 0,
    last_error  text,
    told_at     timestamptz                      -- null until the responder has answered with a 2xx
);
CREATE INDEX security_outbox_due ON security_outbox (due_at) WHERE told_at IS NULL;
GRANT SELECT, INSERT (id, body, due_at, told_at), UPDATE (due_at, attempts, last_error, told_at)
    ON security_outbox TO chatbot_app;
GRANT SELECT ON security_outbox TO chatbot_auditor;
"""

# The canaries (core/canary.py): they can be neither found by name or key nor listed.
HIDDEN = """
ALTER POLICY directory ON tenants USING (id <> ALL (ARRAY[
    'ca9a0000-0000-4000-8000-000000000001', 'ca9a0000-0000-4000-8000-000000000002']::uuid[]));
"""

# The metric of violations has a series for each tenant before anything happens: it needs their ids, and no more.
KNOWN = """
CREATE FUNCTION known_tenants(most integer) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.id FROM public.tenants t ORDER BY t.created_at, t.id LIMIT most
$$;
ALTER FUNCTION known_tenants(integer) OWNER TO chatbot_directory;
REVOKE ALL ON FUNCTION known_tenants(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION known_tenants(integer) TO chatbot_app;
"""


def upgrade() -> None:
    op.execute("SET LOCAL ROLE chatbot_owner")
    op.execute(OUTBOX)
    op.execute(HIDDEN)
    op.execute("RESET ROLE")
    op.execute(KNOWN)


def downgrade() -> None:
    raise RuntimeError("The responder would no longer be told: restore a backup instead.")
