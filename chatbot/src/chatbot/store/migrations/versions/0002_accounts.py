"""Members, sessions, invitations, widget keys with their origins, quotas and use; the kill switch; keys that end.

Revision ID: 0002
"""

from alembic import op

revision = "0002"
down_revision = "0004"
branch_labels = None
depends_on = None

CHANGES = """
ALTER TABLE tenants
    ADD COLUMN suspended_at      timestamptz,
    ADD COLUMN suspended_reason  text,
    ADD CHECK ((suspended_at IS NULL) = (suspended_reason IS NULL));

ALTER TABLE api_keys
    ADD COLUMN name          text NOT NULL DEFAULT 'first' CHECK (length(name) BETWEEN 1 AND 80),
    ADD COLUMN created_by    text NOT NULL DEFAULT 'command line',
    ADD COLUMN expires_at    timestamptz,
    ADD COLUMN last_used_at  timestamptz,
    ADD UNIQUE (tenant_id, prefix);
"""

TABLES = """
CREATE TABLE members (
    tenant_id            uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    id                   uuid NOT NULL DEFAULT gen_random_uuid(),
    email                text NOT NULL CHECK (email = lower(email) AND length(email) <= 254),
    role                 text NOT NULL CHECK (role IN ('admin', 'member')),
    password_hash        text,                       -- null: invited, has not chosen one yet
    password_changed_at  timestamptz,
    created_at           timestamptz NOT NULL DEFAULT now(),
    last_sign_in_at      timestamptz,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, email),
    CHECK ((password_hash IS NULL) = (password_changed_at IS NULL))
);

CREATE TABLE member_sessions (
    tenant_id              uuid NOT NULL,
    id                     uuid NOT NULL,
    member_id              uuid NOT NULL,
    refresh_hash           bytea NOT NULL CHECK (octet_length(refresh_hash) = 32),
    previous_refresh_hash  bytea,                    -- used up: whoever shows it again has copied it
    created_at             timestamptz NOT NULL,
    expires_at             timestamptz NOT NULL,
    revoked_at             timestamptz,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, member_id) REFERENCES members (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX member_sessions_of_member ON member_sessions (tenant_id, member_id);

CREATE TABLE invitations (
    tenant_id   uuid NOT NULL,
    id          uuid NOT NULL,
    member_id   uuid NOT NULL,
    token_hash  bytea NOT NULL CHECK (octet_length(token_hash) = 32),
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    used_at     timestamptz,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, member_id) REFERENCES members (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX invitations_of_member ON invitations (tenant_id, member_id);

CREATE TABLE widget_keys (
    tenant_id   uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    id          uuid NOT NULL DEFAULT gen_random_uuid(),
    key         text NOT NULL UNIQUE,                -- public: it stands in the page's source
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 80),
    created_by  text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    revoked_at  timestamptz,
    PRIMARY KEY (tenant_id, id)
);

-- A key with no row here may be used from nowhere.
CREATE TABLE widget_origins (
    tenant_id      uuid NOT NULL,
    widget_key_id  uuid NOT NULL,
    origin         text NOT NULL CHECK (origin ~ '^https?://[^/*?#@[:space:]]+$'),
    PRIMARY KEY (tenant_id, widget_key_id, origin),
    FOREIGN KEY (tenant_id, widget_key_id) REFERENCES widget_keys (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX widget_origins_by_origin ON widget_origins (origin);

-- What an operator has set; a quota without a row is at its default.
CREATE TABLE quotas (
    tenant_id   uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    name        text NOT NULL CHECK (name IN ('tokens_per_day', 'requests_per_day', 'documents', 'bytes', 'members')),
    value       bigint NOT NULL CHECK (value >= 0),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    updated_by  text NOT NULL,
    PRIMARY KEY (tenant_id, name)
);

CREATE TABLE usage_days (
    tenant_id  uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    day        date NOT NULL,                        -- in UTC
    requests   bigint NOT NULL DEFAULT 0 CHECK (requests >= 0),
    tokens     bigint NOT NULL DEFAULT 0 CHECK (tokens >= 0),
    PRIMARY KEY (tenant_id, day)
);
"""

MINE = "nullif(current_setting('app.tenant_id', true), '')::uuid"
NEW = ("members", "member_sessions", "invitations", "widget_keys", "widget_origins", "quotas", "usage_days")

GRANTS = """
GRANT UPDATE (suspended_at, suspended_reason), DELETE ON tenants TO chatbot_app;
GRANT UPDATE (revoked_at, last_used_at), DELETE ON api_keys TO chatbot_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON members, member_sessions, invitations, widget_keys, widget_origins, quotas,
    usage_days TO chatbot_app;
"""

# Questions that cannot name a tenant because they are asked to find it, or are asked about all of them.
DIRECTORY = """
GRANT SELECT ON widget_keys, widget_origins TO chatbot_directory;
CREATE POLICY directory ON widget_keys FOR SELECT TO chatbot_directory USING (true);
CREATE POLICY directory ON widget_origins FOR SELECT TO chatbot_directory USING (true);

DROP FUNCTION tenant_of_key(bytea);
CREATE FUNCTION tenant_of_key(hash bytea) RETURNS TABLE (
    tenant_id uuid, name text, suspended_reason text, key_id uuid, prefix text, revoked_at timestamptz,
    expires_at timestamptz, last_used_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT k.tenant_id, t.name, t.suspended_reason, k.id, k.prefix, k.revoked_at, k.expires_at, k.last_used_at
      FROM public.api_keys k JOIN public.tenants t ON t.id = k.tenant_id
     WHERE k.key_hash = hash
$$;
CREATE FUNCTION tenant_of_widget_key(wanted text) RETURNS TABLE (
    tenant_id uuid, name text, suspended_reason text, widget_key_id uuid, revoked_at timestamptz, origins text[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT k.tenant_id, t.name, t.suspended_reason, k.id, k.revoked_at,
           ARRAY(SELECT o.origin FROM public.widget_origins o
                  WHERE o.tenant_id = k.tenant_id AND o.widget_key_id = k.id)
      FROM public.widget_keys k JOIN public.tenants t ON t.id = k.tenant_id
     WHERE k.key = wanted
$$;
CREATE FUNCTION origin_is_listed(wanted text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (
        SELECT FROM public.widget_origins o
          JOIN public.widget_keys k ON k.tenant_id = o.tenant_id AND k.id = o.widget_key_id
          JOIN public.tenants t ON t.id = o.tenant_id
         WHERE o.origin = wanted AND k.revoked_at IS NULL AND t.suspended_at IS NULL)
$$;
CREATE FUNCTION all_tenants() RETURNS TABLE (
    tenant_id uuid, name text, created_at timestamptz, suspended_at timestamptz, suspended_reason text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.id, t.name, t.created_at, t.suspended_at, t.suspended_reason FROM public.tenants t ORDER BY t.name
$$;
"""
FUNCTIONS = ("tenant_of_key(bytea)", "tenant_of_widget_key(text)", "origin_is_listed(text)", "all_tenants()")


def upgrade() -> None:
    op.execute("SET LOCAL ROLE chatbot_owner")
    op.execute(CHANGES)
    op.execute(TABLES)
    for table in NEW:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY tenant ON {table} TO chatbot_app USING (tenant_id = {MINE}) WITH CHECK (tenant_id = {MINE})"
        )
    op.execute(GRANTS)
    op.execute("RESET ROLE")
    op.execute(DIRECTORY)
    for function in FUNCTIONS:
        op.execute(f"ALTER FUNCTION {function} OWNER TO chatbot_directory")
        op.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {function} TO chatbot_app")


def downgrade() -> None:
    raise RuntimeError("Going back would drop members and quotas: restore a backup instead.")
