"""Which model embedded a passage, and which one may embed the next.

Revision ID: 0011
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# Belongs to the operators: names of models, nothing of a tenant. Every passage from before was embedded by the model built in.
MODELS = """
CREATE TABLE embedding_models (
    name           text PRIMARY KEY CHECK (name <> ''),
    dimensions     integer NOT NULL,
    first_used_at  timestamptz NOT NULL DEFAULT now(),
    superseded_at  timestamptz,                  -- null: the current one
    retired_at     timestamptz,                  -- null: there are vectors of it
    CHECK (retired_at IS NULL OR superseded_at IS NOT NULL)
);
CREATE UNIQUE INDEX embedding_models_one_current ON embedding_models ((true)) WHERE superseded_at IS NULL;
GRANT SELECT, INSERT (name, dimensions), UPDATE (superseded_at, retired_at) ON embedding_models TO chatbot_app;
ALTER TABLE passages ADD COLUMN model text NOT NULL DEFAULT 'all-MiniLM-L6-v2';
"""


def upgrade() -> None:
    op.execute("SET LOCAL ROLE chatbot_owner")
    op.execute(MODELS)
    op.execute("RESET ROLE")


def downgrade() -> None:
    raise RuntimeError("Vectors of two models could be compared: restore a backup instead.")
