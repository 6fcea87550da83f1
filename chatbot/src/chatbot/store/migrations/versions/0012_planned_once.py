"""What an answer asks of the database, as functions: their statements are planned once a connection, not for every answer.

Behind a pooler in transaction mode there are no prepared statements; a function's plans stay with the connection to the server.
All of them act as their caller, whom the policies bind, and name the tenant besides.

Revision ID: 0012
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

BASIS = """
CREATE FUNCTION basis_of(tenant uuid, today date, most_requests bigint)
RETURNS TABLE (settings jsonb, spent boolean, revision bigint, passages integer, shelf integer, shelved boolean)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN QUERY
        SELECT (SELECT t.settings FROM tenant_settings t WHERE t.tenant_id = tenant),
               coalesce((SELECT u.requests FROM usage_days u WHERE u.tenant_id = tenant AND u.day = today), 0)
                 >= coalesce((SELECT q.value FROM quotas q WHERE q.tenant_id = tenant AND q.name = 'requests_per_day'),
                             most_requests),
               c.revision, c.passages, c.shelf::integer, c.shelved
          FROM (VALUES (tenant)) AS asked (tenant_id) LEFT JOIN corpora c ON c.tenant_id = tenant;
END $$;
"""

# One statement, so that two requests at once cannot both take the last token. Whoever crosses the line is still
# answered; the next is not. Without tokens (a cached or quoted answer) only the number of requests is looked at.
# Its commit is not waited for: the log is in order, and what is kept at the end of the answer is waited for, and is after this.
RESERVE = """
CREATE FUNCTION reserve_use(tenant uuid, today date, wanted bigint, most_requests bigint, most_tokens bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    SELECT coalesce(max(q.value) FILTER (WHERE q.name = 'requests_per_day'), most_requests),
           coalesce(max(q.value) FILTER (WHERE q.name = 'tokens_per_day'), most_tokens)
      INTO most_requests, most_tokens FROM quotas q WHERE q.tenant_id = tenant;
    IF most_requests <= 0 OR (wanted > 0 AND most_tokens <= 0) THEN
        RETURN false;
    END IF;
    PERFORM set_config('synchronous_commit', 'off', true);
    INSERT INTO usage_days AS u (tenant_id, day, requests, tokens) VALUES (tenant, today, 1, wanted)
        ON CONFLICT (tenant_id, day) DO UPDATE SET requests = u.requests + 1, tokens = u.tokens + wanted
     WHERE u.requests < most_requests AND (wanted = 0 OR u.tokens < most_tokens);
    RETURN FOUND;
END $$;
"""

USE = """
CREATE FUNCTION count_use(tenant uuid, on_day date, more_requests bigint, more_tokens bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO usage_days AS u (tenant_id, day, requests, tokens)
    VALUES (tenant, on_day, more_requests, greatest(0, more_tokens))
        ON CONFLICT (tenant_id, day) DO UPDATE
       SET requests = u.requests + more_requests, tokens = greatest(0, u.tokens + more_tokens);
END $$;
"""

# A question and its answer have one moment: it stands right before it. A conversation that was deleted meanwhile takes
# nothing, and keeps nobody else's from being kept. The day's row comes last: others wait for it.
KEEP = """
CREATE FUNCTION keep_exchanges(tenant uuid, on_day date, more_requests bigint, more_tokens bigint, exchanges jsonb)
RETURNS SETOF uuid LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY WITH e AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(exchanges) AS e (conversation_id uuid, owner text, question_id uuid, answer_id uuid,
               question text, answer text, kind text, sources jsonb, prompt_tokens integer, completion_tokens integer)
    ), begun AS (
        INSERT INTO conversations (tenant_id, id, owner)
        SELECT tenant, e.conversation_id, e.owner FROM e WHERE e.owner IS NOT NULL RETURNING id
    ), gone_on AS (
        SELECT c.id FROM conversations c
         WHERE c.tenant_id = tenant AND c.id IN (SELECT e.conversation_id FROM e WHERE e.owner IS NULL) FOR KEY SHARE
    ), kept AS (
        SELECT e.* FROM e JOIN (SELECT id FROM begun UNION ALL SELECT id FROM gone_on) c ON c.id = e.conversation_id
    ), said AS (
        INSERT INTO messages (tenant_id, conversation_id, created_at,
                              id, role, content, kind, sources, prompt_tokens, completion_tokens)
        SELECT tenant, kept.conversation_id, statement_timestamp(), m.* FROM kept CROSS JOIN LATERAL (VALUES
               (question_id, 'user', question, NULL, '[]'::jsonb, NULL, NULL),
               (answer_id, 'assistant', answer, kind, sources, prompt_tokens, completion_tokens)) AS m
    )
    SELECT DISTINCT kept.conversation_id FROM kept;
    PERFORM count_use(tenant, on_day, more_requests, more_tokens);
END $$;
"""

# The search by vector is planned anew each time, with the tenant as a literal: a plan that does not know the tenant takes
# the wrong index. The index gives what is near in an order that is not quite true, and may give too few; then the tenant's
# passages are read whole, by a statement that does not name the shelf, so that no index can answer it. The two rankings become
# one by reciprocal rank fusion, with its usual constant of 60 (Cormack, Clarke and Büttcher, 2009).
BEST = """
CREATE FUNCTION best_passages(
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
        SELECT p.tenant_id, p.id, p.document_id, d.title, p.heading, p.text, p.page,
               CASE WHEN p.model = embedded_by THEN -(p.embedding <#> question) END,
               p.id = ANY (worded),
               p.words @@ websearch_to_tsquery('english', telling)
          FROM unnest(best) WITH ORDINALITY AS b (found, place)
          JOIN passages p ON p.tenant_id = tenant AND p.id = b.found
          JOIN documents d ON d.tenant_id = tenant AND d.id = p.document_id
         ORDER BY b.place;
END $$;
"""

FUNCTIONS = "basis_of, reserve_use, count_use, keep_exchanges, best_passages"


def upgrade() -> None:
    op.execute("SET LOCAL ROLE chatbot_owner")
    for function in (BASIS, RESERVE, USE, KEEP, BEST):
        op.execute(function)
    op.execute(
        f"REVOKE ALL ON FUNCTION {FUNCTIONS} FROM PUBLIC; GRANT EXECUTE ON FUNCTION {FUNCTIONS} TO chatbot_app"
    )
    op.execute("RESET ROLE")


def downgrade() -> None:
    op.execute("SET LOCAL ROLE chatbot_owner")
    op.execute(f"DROP FUNCTION {FUNCTIONS}")
    op.execute("RESET ROLE")
