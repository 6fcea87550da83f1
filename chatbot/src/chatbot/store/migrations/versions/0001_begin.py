"""Begin: tenants with their keys and documents behind row-level security, feature flags, the chained audit log.

Revision ID: 0001
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Unset, empty and foreign all see nothing: nullif makes the empty string, which is what SET LOCAL leaves behind after
# its transaction, the same as unset.
OWN = "tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid"

TABLES = """
CREATE EXTENSION IF NOT EXISTS vector;

CREATE TABLE tenants (
    tenant_id   uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name        text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    active      boolean NOT NULL DEFAULT true,
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE api_keys (
    tenant_id   uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    id          uuid NOT NULL DEFAULT gen_random_uuid(),
    prefix      text NOT NULL,
    sha256      bytea NOT NULL UNIQUE CHECK (length(sha256) = 32),
    created_at  timestamptz NOT NULL DEFAULT now(),
    revoked_at  timestamptz,
    PRIMARY KEY (tenant_id, id)
);

CREATE TABLE documents (
    tenant_id   uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    id          uuid NOT NULL DEFAULT gen_random_uuid(),
    title       text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, title)
);

CREATE TABLE passages (
    tenant_id    uuid NOT NULL,
    id           uuid NOT NULL DEFAULT gen_random_uuid(),
    document_id  uuid NOT NULL,
    position     integer NOT NULL,
    heading      text NOT NULL,
    text         text NOT NULL,
    words        tsvector NOT NULL GENERATED ALWAYS AS (to_tsvector('english', heading || ' ' || text)) STORED,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, document_id, position),
    -- Foreign keys are checked past row-level security: with the tenant in them, they cannot reach across.
    FOREIGN KEY (tenant_id, document_id) REFERENCES documents ON DELETE CASCADE
);

CREATE TABLE feature_flags (
    name        text PRIMARY KEY,
    enabled     boolean NOT NULL,
    updated_at  timestamptz NOT NULL DEFAULT now(),
    updated_by  text NOT NULL
);
INSERT INTO feature_flags (name, enabled, updated_by) VALUES ('rerank', false, 'migration'), ('maintenance', false, 'migration');

CREATE TABLE audit_logs (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id   uuid,
    event_type  text NOT NULL,
    actor       text NOT NULL,
    ip          inet,
    detail      jsonb NOT NULL,
    created_at  timestamptz NOT NULL,
    previous    bytea NOT NULL,
    hash        bytea NOT NULL
);
CREATE INDEX audit_logs_by_type ON audit_logs (event_type, created_at);
"""

FUNCTIONS = """
-- The one way into the audit log: it chains each row to the one before, one writer at a time.
CREATE FUNCTION write_audit(p_event_type text, p_tenant_id uuid, p_actor text, p_ip inet, p_detail jsonb) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    v_previous bytea;
    v_now timestamptz := clock_timestamp();
    v_id bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('audit_logs', 0));
    SELECT hash INTO v_previous FROM audit_logs ORDER BY id DESC LIMIT 1;
    v_previous := coalesce(v_previous, decode(repeat('00', 32), 'hex'));
    INSERT INTO audit_logs (tenant_id, event_type, actor, ip, detail, created_at, previous, hash)
    VALUES (p_tenant_id, p_event_type, p_actor, p_ip, p_detail, v_now, v_previous,
            sha256(v_previous || convert_to(concat_ws('|', p_event_type, p_tenant_id, p_actor, p_ip, p_detail, v_now), 'UTF8')))
    RETURNING id INTO v_id;
    RETURN v_id;
END $$;

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_logs is append-only: % is refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_logs_append_only BEFORE UPDATE OR DELETE ON audit_logs FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_logs_not_truncated BEFORE TRUNCATE ON audit_logs FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Who asks is not known before the key is looked up, so this one look-up stands outside of the tenants' walls: by the
-- whole hash only, one row at most.
CREATE FUNCTION tenant_of_key(p_sha256 bytea) RETURNS TABLE (tenant_id uuid, name text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    SELECT t.tenant_id, t.name FROM public.api_keys k JOIN public.tenants t USING (tenant_id)
    WHERE k.sha256 = p_sha256 AND k.revoked_at IS NULL AND t.active
$$;

CREATE FUNCTION tell_flags() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('flags', NEW.name);
    RETURN NULL;
END $$;
CREATE TRIGGER flags_told AFTER INSERT OR UPDATE ON feature_flags FOR EACH ROW EXECUTE FUNCTION tell_flags();
"""

TENANT_TABLES = ("tenants", "api_keys", "documents", "passages")


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(FUNCTIONS)
    for table in TENANT_TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own_rows ON {table} FOR ALL USING ({OWN}) WITH CHECK ({OWN})")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO chatbot_app")
        op.execute(f"ALTER TABLE {table} OWNER TO chatbot_owner")
    # The function that looks keys up, and the operator's list of tenants, see every tenant: as a role that nobody logs in as.
    op.execute("CREATE POLICY key_lookup ON api_keys FOR SELECT TO chatbot_keys USING (true)")
    op.execute("CREATE POLICY key_lookup ON tenants FOR SELECT TO chatbot_keys USING (true)")
    op.execute("GRANT SELECT ON api_keys, tenants TO chatbot_keys")
    op.execute("ALTER FUNCTION tenant_of_key OWNER TO chatbot_keys")
    op.execute("REVOKE ALL ON FUNCTION tenant_of_key, write_audit FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION tenant_of_key, write_audit TO chatbot_app")
    op.execute("GRANT SELECT, UPDATE ON feature_flags TO chatbot_app")
    for table in ("feature_flags", "audit_logs"):
        op.execute(f"ALTER TABLE {table} OWNER TO chatbot_owner")
    op.execute("ALTER FUNCTION write_audit OWNER TO chatbot_owner")
    op.execute("GRANT SELECT ON audit_logs TO chatbot_auditor")


def downgrade() -> None:
    raise RuntimeError("There is nothing before the beginning: drop the database instead.")
