"""Begin: tenants, their keys, documents and conversations behind row-level security; flags; the chained audit log.

Revision ID: 0001
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# The roles are made by `chatbot migrate` before this runs:
#   chatbot_owner      owns everything, cannot log in
#   chatbot_directory  answers two questions across tenants (whose key? whose name?), cannot log in
#   chatbot_app        what the serving role is a member of: the grants and the policies
#   chatbot_auditor    reads the audit log of all tenants, cannot log in
TENANTS = """
CREATE TABLE tenants (
    id          uuid PRIMARY KEY,
    name        text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE api_keys (
    tenant_id   uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    id          uuid NOT NULL DEFAULT gen_random_uuid(),
    prefix      text NOT NULL,
    key_hash    bytea NOT NULL UNIQUE CHECK (octet_length(key_hash) = 32),
    created_at  timestamptz NOT NULL DEFAULT now(),
    revoked_at  timestamptz,
    PRIMARY KEY (tenant_id, id)
);

CREATE TABLE documents (
    tenant_id   uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    id          uuid NOT NULL DEFAULT gen_random_uuid(),
    title       text NOT NULL,
    sha256      bytea NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, title)
);

CREATE TABLE passages (
    tenant_id    uuid NOT NULL,
    id           uuid NOT NULL DEFAULT gen_random_uuid(),
    document_id  uuid NOT NULL,
    position     integer NOT NULL CHECK (position >= 0),
    heading      text NOT NULL,
    text         text NOT NULL,
    words        tsvector NOT NULL GENERATED ALWAYS AS (
                     setweight(to_tsvector('english', heading), 'A') || to_tsvector('english', text)) STORED,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, document_id, position),
    FOREIGN KEY (tenant_id, document_id) REFERENCES documents (tenant_id, id) ON DELETE CASCADE
);

CREATE TABLE conversations (
    tenant_id   uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    id          uuid NOT NULL DEFAULT gen_random_uuid(),
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id)
);

CREATE TABLE messages (
    tenant_id        uuid NOT NULL,
    id               uuid NOT NULL DEFAULT gen_random_uuid(),
    conversation_id  uuid NOT NULL,
    role             text NOT NULL CHECK (role IN ('user', 'assistant')),
    content          text NOT NULL,
    kind             text,                       -- how an answer came about; null for a question
    sources          jsonb NOT NULL DEFAULT '[]',
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, id),
    CHECK ((role = 'assistant') = (kind IS NOT NULL)),
    FOREIGN KEY (tenant_id, conversation_id) REFERENCES conversations (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX messages_of_conversation ON messages (tenant_id, conversation_id, created_at);

CREATE TABLE feature_flags (
    name        text PRIMARY KEY,
    enabled     boolean NOT NULL,
    updated_at  timestamptz NOT NULL DEFAULT now(),
    updated_by  text NOT NULL
);
"""

# The position, the time and both hashes are set by the trigger: nobody who inserts can choose them.
AUDIT = """
CREATE TABLE audit_logs (
    id             bigint PRIMARY KEY,           -- the position in the chain, from 1, without gaps
    tenant_id      uuid,                         -- null: before a tenant was known, or about none
    event_type     text NOT NULL,
    actor          text NOT NULL,
    ip             inet,
    detail         jsonb NOT NULL DEFAULT '{}',
    created_at     timestamptz NOT NULL,
    previous_hash  bytea NOT NULL,
    hash           bytea NOT NULL
);
CREATE INDEX audit_logs_by_event ON audit_logs (event_type, created_at);

CREATE TABLE audit_chain (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    length  bigint NOT NULL,
    head    bytea NOT NULL
);
INSERT INTO audit_chain (length, head) VALUES (0, sha256('bitb-chatbot audit log'));

CREATE FUNCTION audit_hash(entry audit_logs) RETURNS bytea LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT sha256(entry.previous_hash || convert_to(jsonb_build_object(
        'id', entry.id, 'tenant_id', entry.tenant_id, 'event_type', entry.event_type, 'actor', entry.actor,
        'ip', host(entry.ip), 'detail', entry.detail,
        'created_at', to_char(entry.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'))::text, 'UTF8'))
$$;

CREATE FUNCTION chain_audit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    chain public.audit_chain;
BEGIN
    SELECT * INTO STRICT chain FROM public.audit_chain FOR UPDATE;  -- one entry at a time
    NEW.id := chain.length + 1;
    NEW.created_at := clock_timestamp();
    NEW.previous_hash := chain.head;
    NEW.hash := public.audit_hash(NEW);
    UPDATE public.audit_chain SET length = NEW.id, head = NEW.hash;
    RETURN NEW;
END $$;
CREATE TRIGGER audit_chained BEFORE INSERT ON audit_logs FOR EACH ROW EXECUTE FUNCTION chain_audit();

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_logs is append-only: % is not possible', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_logs
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""

# The two questions that cannot name a tenant because they are asked to find it. They tell an id, never content.
DIRECTORY = """
CREATE FUNCTION tenant_of_key(hash bytea) RETURNS TABLE (tenant_id uuid, name text, prefix text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT k.tenant_id, t.name, k.prefix FROM public.api_keys k JOIN public.tenants t ON t.id = k.tenant_id
     WHERE k.key_hash = hash AND k.revoked_at IS NULL
$$;
CREATE FUNCTION tenant_of_name(wanted text) RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.id FROM public.tenants t WHERE t.name = wanted
$$;
ALTER FUNCTION tenant_of_key(bytea) OWNER TO chatbot_directory;
ALTER FUNCTION tenant_of_name(text) OWNER TO chatbot_directory;
REVOKE ALL ON FUNCTION tenant_of_key(bytea), tenant_of_name(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenant_of_key(bytea), tenant_of_name(text) TO chatbot_app;
GRANT SELECT ON tenants, api_keys TO chatbot_directory;
CREATE POLICY directory ON tenants FOR SELECT TO chatbot_directory USING (true);
CREATE POLICY directory ON api_keys FOR SELECT TO chatbot_directory USING (true);
"""

MINE = "nullif(current_setting('app.tenant_id', true), '')::uuid"

GRANTS = """
REVOKE ALL ON FUNCTION chain_audit(), refuse_change() FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO chatbot_app, chatbot_auditor, chatbot_directory;
GRANT SELECT, INSERT ON tenants TO chatbot_app;
GRANT SELECT, INSERT, UPDATE (revoked_at) ON api_keys TO chatbot_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON documents, passages, conversations, messages TO chatbot_app;
GRANT SELECT, INSERT, UPDATE ON feature_flags TO chatbot_app;
GRANT SELECT, INSERT (tenant_id, event_type, actor, ip, detail) ON audit_logs TO chatbot_app;
GRANT SELECT ON audit_logs, audit_chain TO chatbot_auditor;
CREATE POLICY auditor ON audit_logs FOR SELECT TO chatbot_auditor USING (true);
"""


def upgrade() -> None:
    op.execute("GRANT USAGE ON SCHEMA public TO chatbot_owner")
    op.execute("SET LOCAL ROLE chatbot_owner")
    op.execute(TENANTS)
    op.execute(AUDIT)
    for table in ("tenants", "api_keys", "documents", "passages", "conversations", "messages", "audit_logs"):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    for table in ("api_keys", "documents", "passages", "conversations", "messages"):
        op.execute(
            f"CREATE POLICY tenant ON {table} TO chatbot_app USING (tenant_id = {MINE}) WITH CHECK (tenant_id = {MINE})"
        )
    op.execute(f"CREATE POLICY tenant ON tenants TO chatbot_app USING (id = {MINE}) WITH CHECK (id = {MINE})")
    op.execute(f"CREATE POLICY tenant ON audit_logs FOR SELECT TO chatbot_app USING (tenant_id = {MINE})")
    op.execute(
        "CREATE POLICY written ON audit_logs FOR INSERT TO chatbot_app"
        f" WITH CHECK (tenant_id IS NULL OR tenant_id = {MINE})"
    )
    op.execute(GRANTS)
    op.execute("RESET ROLE")
    op.execute(DIRECTORY)


def downgrade() -> None:
    raise RuntimeError("There is nothing before the beginning: drop the database instead.")
