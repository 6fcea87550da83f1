"""Answers: settings for everybody and for each tenant; whose a conversation is; what an answer cost.

Revision ID: 0004
"""

from alembic import op

revision = "0004"
down_revision = "0006"
branch_labels = None
depends_on = None

SETTINGS = """
CREATE TABLE answer_settings (
    one         boolean PRIMARY KEY DEFAULT true CHECK (one),
    settings    jsonb NOT NULL DEFAULT '{}',
    updated_at  timestamptz NOT NULL DEFAULT now(),
    updated_by  text NOT NULL
);
INSERT INTO answer_settings (updated_by) VALUES ('migrate');

CREATE TABLE tenant_settings (
    tenant_id   uuid PRIMARY KEY REFERENCES tenants (id) ON DELETE CASCADE,
    settings    jsonb NOT NULL DEFAULT '{}',
    updated_at  timestamptz NOT NULL DEFAULT now(),
    updated_by  text NOT NULL
);
ALTER TABLE tenant_settings ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant_settings FORCE ROW LEVEL SECURITY;
"""

CONVERSATIONS = """
-- whoever began it, as the key, member or session that was proved; nobody else may read it or go on with it
ALTER TABLE conversations ADD COLUMN owner text NOT NULL DEFAULT '';
ALTER TABLE messages ADD COLUMN prompt_tokens integer CHECK (prompt_tokens >= 0),
                     ADD COLUMN completion_tokens integer CHECK (completion_tokens >= 0);
CREATE INDEX conversations_of_owner ON conversations (tenant_id, owner, created_at DESC);
"""

MINE = "nullif(current_setting('app.tenant_id', true), '')::uuid"

GRANTS = """
GRANT SELECT, UPDATE (settings, updated_at, updated_by) ON answer_settings TO chatbot_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON tenant_settings TO chatbot_app;
"""


def upgrade() -> None:
    op.execute("SET LOCAL ROLE chatbot_owner")
    op.execute(SETTINGS)
    op.execute(
        "CREATE POLICY tenant ON tenant_settings TO chatbot_app"
        f" USING (tenant_id = {MINE}) WITH CHECK (tenant_id = {MINE})"
    )
    op.execute(CONVERSATIONS)
    op.execute(GRANTS)
    op.execute("RESET ROLE")


def downgrade() -> None:
    op.execute("SET LOCAL ROLE chatbot_owner")
    op.execute("DROP TABLE answer_settings, tenant_settings")
    op.execute("DROP INDEX conversations_of_owner")
    op.execute("ALTER TABLE conversations DROP COLUMN owner")
    op.execute("ALTER TABLE messages DROP COLUMN prompt_tokens, DROP COLUMN completion_tokens")
    op.execute("RESET ROLE")
