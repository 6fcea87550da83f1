"""A violation that a command withheld is counted by a process whose metrics are read.

Revision ID: 0009
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

COUNTED = """
ALTER TABLE security_outbox ADD COLUMN counted boolean NOT NULL DEFAULT true;
CREATE INDEX security_outbox_uncounted ON security_outbox (id) WHERE NOT counted;
GRANT INSERT (counted), UPDATE (counted) ON security_outbox TO chatbot_app;
"""


def upgrade() -> None:
    op.execute("SET LOCAL ROLE chatbot_owner")
    op.execute(COUNTED)
    op.execute("RESET ROLE")


def downgrade() -> None:
    raise RuntimeError("Violations that commands withheld would not be counted: restore a backup instead.")
