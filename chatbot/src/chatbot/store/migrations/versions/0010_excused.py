"""A document waits out an outage of the embedding service: the attempts that it ended do not count.

Revision ID: 0010
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL ROLE chatbot_owner")
    op.execute(
        "ALTER TABLE revisions ADD COLUMN excused integer NOT NULL DEFAULT 0 CHECK (excused BETWEEN 0 AND attempt)"
    )
    op.execute("RESET ROLE")


def downgrade() -> None:
    raise RuntimeError("Documents that wait would fail: restore a backup instead.")
