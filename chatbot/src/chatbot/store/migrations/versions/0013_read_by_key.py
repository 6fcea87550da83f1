"""The passages that were found are read by their keys, whatever the plan that is kept believes of the tenant's size.

Revision ID: 0013
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# A plan kept for every tenant takes each for one of middling size, and joined the few that were found with all that the tenant
# has: 65 ms for one of 200,000 passages. `= ANY` is looked up in the primary key, and a title in that of its document.
BEST = """
CREATE OR REPLACE FUNCTION best_passages(
    tenant uuid, question halfvec, worded uuid[], on_shelf integer, candidates integer, most integer, embedded_by text,
    telling text)
RETURNS TABLE (
    tenant_id uuid, id uuid, document_id uuid, title text, heading text, text text, page integer, similarity float8,
    shares_words boolean, shares_telling boolean)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    near uuid[];
    best uuid[];
BEGIN
    IF question IS NOT NULL AND on_shelf IS NOT NULL THEN
        EXECUTE format($query$
            SELECT ARRAY(SELECT n.id FROM (
                SELECT p.id, p.embedding <#> $1 AS distance FROM passages p
                 WHERE p.tenant_id = %L AND p.shelf = %s ORDER BY p.embedding <#> $1 LIMIT %s) n ORDER BY n.distance)
            $query$, tenant, on_shelf, candidates) INTO near USING question;
    END IF;
    IF question IS NOT NULL AND coalesce(cardinality(near), 0) < candidates THEN
        EXECUTE format($query$
            SELECT ARRAY(SELECT p.id FROM passages p WHERE p.tenant_id = %L ORDER BY p.embedding <#> $1 LIMIT %s)
            $query$, tenant, candidates) INTO near USING question;
    END IF;
    best := ARRAY(
        SELECT r.found FROM (
            SELECT * FROM unnest(near) WITH ORDINALITY UNION ALL SELECT * FROM unnest(worded) WITH ORDINALITY
        ) AS r (found, rank)
         GROUP BY r.found ORDER BY sum(1::float8 / (60 + r.rank)) DESC, min(r.rank) LIMIT most);
    RETURN QUERY
        SELECT p.tenant_id, p.id, p.document_id,
               (SELECT d.title FROM documents d WHERE d.tenant_id = tenant AND d.id = p.document_id),
               p.heading, p.text, p.page,
               CASE WHEN p.model = embedded_by THEN -(p.embedding <#> question) END,
               p.id = ANY (worded),
               p.words @@ websearch_to_tsquery('english', telling)
          FROM passages p
         WHERE p.tenant_id = tenant AND p.id = ANY (best)
         ORDER BY array_position(best, p.id);
END $$;
"""


def upgrade() -> None:
    op.execute("SET LOCAL ROLE chatbot_owner")
    op.execute(BEST)
    op.execute("RESET ROLE")


def downgrade() -> None:
    raise RuntimeError("Large tenants would be searched slowly: restore a backup instead.")
