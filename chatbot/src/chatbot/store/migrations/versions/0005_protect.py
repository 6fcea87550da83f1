"""Protect: addresses that are not answered for a time; what people are told during maintenance.

Revision ID: 0005
"""

from alembic import op

revision = "0005"
down_revision = "0002"
branch_labels = None
depends_on = None

BLOCKS = """
ALTER TABLE feature_flags ADD COLUMN message text;

CREATE TABLE ip_blocks (
    network     cidr PRIMARY KEY,
    reason      text NOT NULL,
    changed_by  text NOT NULL,
    changed_at  timestamptz NOT NULL,        -- of two changes the later one wins, in whatever order they arrive
    expires_at  timestamptz NOT NULL,
    lifted      boolean NOT NULL DEFAULT false,
    CHECK (family(network) = 4 AND masklen(network) >= 16 OR family(network) = 6 AND masklen(network) >= 32)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON ip_blocks TO chatbot_app;
"""


def upgrade() -> None:
    op.execute("SET LOCAL ROLE chatbot_owner")
    op.execute(BLOCKS)
    op.execute("RESET ROLE")


def downgrade() -> None:
    raise RuntimeError("There is no way back: restore a copy instead.")
