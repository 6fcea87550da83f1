"""Documents by revision, their status, their bytes until they are read; passages with vectors; the corpus of each tenant.

Revision ID: 0003
"""

from alembic import op

revision = "0003"
down_revision = "0005"
branch_labels = None
depends_on = None

SHELVES = 16

TABLES = """
DROP TABLE passages;
DROP TABLE documents;

-- What a tenant's questions are answered from, as a whole. `revision` grows with every change that an answer can see.
CREATE TABLE corpora (
    tenant_id  uuid PRIMARY KEY REFERENCES tenants (id) ON DELETE CASCADE,
    revision   bigint NOT NULL DEFAULT 0,
    passages   integer NOT NULL DEFAULT 0 CHECK (passages >= 0),
    shelf      smallint CHECK (shelf > 0),       -- which vector index new passages enter; null: none, searched exactly
    shelved    boolean NOT NULL DEFAULT false,   -- every passage is in that index, so it may answer
    CHECK (shelf IS NOT NULL OR NOT shelved)
);

CREATE TABLE documents (
    tenant_id      uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    id             uuid NOT NULL DEFAULT gen_random_uuid(),
    title          text NOT NULL CHECK (title <> '' AND char_length(title) <= 200),
    source         text NOT NULL CHECK (source IN ('upload', 'url')),
    url            text,
    live_revision  integer,                      -- the one that answers; null until the first is ready
    passages       integer NOT NULL DEFAULT 0 CHECK (passages >= 0),
    created_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, title),
    CHECK ((source = 'url') = (url IS NOT NULL))
);

-- One upload of a document, and the job of making passages of it: the truth of the queue is here.
CREATE TABLE revisions (
    tenant_id    uuid NOT NULL,
    document_id  uuid NOT NULL,
    revision     integer NOT NULL CHECK (revision > 0),
    -- queued -> parsing -> embedding -> ready; any of the first three -> failed; parsing, embedding -> queued
    status       text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'parsing', 'embedding', 'ready', 'failed')),
    reason       text,                           -- why it failed, or why it is tried again
    media_type   text,                           -- null until a URL was fetched
    bytes        bigint,
    sha256       bytea,
    actor        text NOT NULL,
    passages     integer,
    attempt      integer NOT NULL DEFAULT 0,     -- how often it was taken up
    due_at       timestamptz NOT NULL,
    lease_until  timestamptz,
    created_at   timestamptz NOT NULL,
    finished_at  timestamptz,
    PRIMARY KEY (tenant_id, document_id, revision),
    FOREIGN KEY (tenant_id, document_id) REFERENCES documents (tenant_id, id) ON DELETE CASCADE,
    CHECK ((lease_until IS NOT NULL) = (status IN ('parsing', 'embedding'))),
    CHECK ((finished_at IS NOT NULL) = (status IN ('ready', 'failed'))),
    CHECK (status <> 'failed' OR reason IS NOT NULL)
);
CREATE UNIQUE INDEX revisions_one_under_way ON revisions (tenant_id, document_id)
    WHERE status IN ('queued', 'parsing', 'embedding');
CREATE INDEX revisions_due ON revisions (due_at) WHERE status IN ('queued', 'parsing', 'embedding');

-- The bytes of a revision that is not finished yet, in parts, so that none has to be held whole.
CREATE TABLE uploads (
    tenant_id    uuid NOT NULL,
    document_id  uuid NOT NULL,
    revision     integer NOT NULL,
    part         integer NOT NULL CHECK (part >= 0),
    bytes        bytea NOT NULL,
    PRIMARY KEY (tenant_id, document_id, revision, part),
    FOREIGN KEY (tenant_id, document_id, revision) REFERENCES revisions (tenant_id, document_id, revision) ON DELETE CASCADE
);

-- Only passages that answer are here. Those of a new revision take the place of the old ones in one transaction.
CREATE TABLE passages (
    tenant_id    uuid NOT NULL,
    id           uuid NOT NULL DEFAULT gen_random_uuid(),
    document_id  uuid NOT NULL,
    revision     integer NOT NULL,
    position     integer NOT NULL CHECK (position >= 0),
    page         integer CHECK (page > 0),       -- of a document that has pages
    heading      text NOT NULL,                  -- the path of headings above it
    text         text NOT NULL,
    shelf        smallint,                       -- the vector index that it is in
    embedding    halfvec(384) NOT NULL,          -- of length one: the inner product is the cosine
    -- The tenant is a word too, so that the index finds the words of one tenant without reading those of all.
    words        tsvector NOT NULL GENERATED ALWAYS AS (
                     setweight(to_tsvector('english', heading), 'A') || to_tsvector('english', text)
                     || array_to_tsvector(ARRAY['@' || tenant_id::text])) STORED,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, document_id, position),
    FOREIGN KEY (tenant_id, document_id) REFERENCES documents (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX passages_words ON passages USING gin (words);
"""

# Whatever changes what answers can see changes the corpus: nobody who writes a statement can forget it.
CORPUS = """
CREATE FUNCTION corpus_changed() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        UPDATE public.corpora SET revision = revision + 1, passages = passages - OLD.passages
         WHERE tenant_id = OLD.tenant_id AND OLD.live_revision IS NOT NULL;
    ELSE
        INSERT INTO public.corpora AS c (tenant_id, revision, passages) VALUES (NEW.tenant_id, 1, NEW.passages)
            ON CONFLICT (tenant_id) DO UPDATE
           SET revision = c.revision + 1, passages = c.passages + NEW.passages - OLD.passages;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER documents_changed AFTER UPDATE OF live_revision, title, passages OR DELETE ON documents
    FOR EACH ROW EXECUTE FUNCTION corpus_changed();
"""

# Row-level security keeps `@@` from the index, because it is not leakproof. So the words are looked up by a function of
# another role, which knows its caller's tenant from where the policies know it, and from nowhere else.
SEARCH = """
CREATE FUNCTION passages_with_words(question text, most integer) RETURNS TABLE (id uuid, rank real)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    mine uuid := nullif(current_setting('app.tenant_id', true), '')::uuid;
    every_word tsquery := plainto_tsquery('english', question);
    any_word tsquery := replace(every_word::text, '&', '|')::tsquery;
    owner tsquery;
BEGIN
    IF mine IS NULL OR numnode(every_word) = 0 THEN
        RETURN;
    END IF;
    owner := quote_literal('@' || mine::text)::tsquery;
    -- Bounded: of a large corpus, those with every word, and so many of those with any.
    RETURN QUERY EXECUTE format($query$
        SELECT f.id, max(ts_rank_cd(f.words, $1, 1)) FROM (
            (SELECT p.id, p.words FROM public.passages p WHERE p.tenant_id = %1$L AND p.words @@ $2 LIMIT 400)
            UNION ALL
            (SELECT p.id, p.words FROM public.passages p WHERE p.tenant_id = %1$L AND p.words @@ $3 LIMIT 1200)) f
         GROUP BY f.id ORDER BY 2 DESC, 1 LIMIT $4
        $query$, mine) USING any_word, every_word && owner, any_word && owner, most;
END $$;
ALTER FUNCTION passages_with_words(text, integer) OWNER TO chatbot_search;
REVOKE ALL ON FUNCTION passages_with_words(text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION passages_with_words(text, integer) TO chatbot_app;
GRANT SELECT (tenant_id, id, words) ON passages TO chatbot_search;
CREATE POLICY search ON passages FOR SELECT TO chatbot_search USING (true);
"""

# What the worker must find without knowing whose it is. They tell ids and numbers, never content.
DIRECTORY = """
CREATE FUNCTION due_revisions(at timestamptz, most integer)
RETURNS TABLE (tenant_id uuid, document_id uuid, revision integer, attempt integer)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT r.tenant_id, r.document_id, r.revision, r.attempt FROM public.revisions r
     WHERE (r.status = 'queued' AND r.due_at <= at)
        OR (r.status IN ('parsing', 'embedding') AND r.lease_until <= at)
     ORDER BY r.due_at LIMIT most
$$;
CREATE FUNCTION unshelved_tenants(fewest integer) RETURNS TABLE (tenant_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT c.tenant_id FROM public.corpora c WHERE c.passages >= fewest AND NOT c.shelved ORDER BY c.passages DESC
$$;
CREATE FUNCTION emptiest_shelf(shelves integer) RETURNS smallint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT s::smallint FROM generate_series(1, shelves) s LEFT JOIN public.corpora c ON c.shelf = s
     GROUP BY s ORDER BY coalesce(sum(c.passages), 0), s LIMIT 1
$$;
ALTER FUNCTION due_revisions(timestamptz, integer) OWNER TO chatbot_directory;
ALTER FUNCTION unshelved_tenants(integer) OWNER TO chatbot_directory;
ALTER FUNCTION emptiest_shelf(integer) OWNER TO chatbot_directory;
REVOKE ALL ON FUNCTION due_revisions(timestamptz, integer), unshelved_tenants(integer), emptiest_shelf(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION due_revisions(timestamptz, integer), unshelved_tenants(integer), emptiest_shelf(integer)
    TO chatbot_app;
GRANT SELECT (tenant_id, document_id, revision, status, attempt, due_at, lease_until) ON revisions TO chatbot_directory;
GRANT SELECT (tenant_id, passages, shelf, shelved) ON corpora TO chatbot_directory;
CREATE POLICY directory ON revisions FOR SELECT TO chatbot_directory USING (true);
CREATE POLICY directory ON corpora FOR SELECT TO chatbot_directory USING (true);
"""

MINE = "nullif(current_setting('app.tenant_id', true), '')::uuid"
TENANT_TABLES = ("corpora", "documents", "revisions", "uploads", "passages")


def upgrade() -> None:
    op.execute("SET LOCAL ROLE chatbot_owner")
    op.execute(TABLES)
    for shelf in range(1, SHELVES + 1):
        op.execute(
            f"CREATE INDEX passages_shelf_{shelf} ON passages USING hnsw (embedding halfvec_ip_ops) WHERE shelf = {shelf}"
        )
    op.execute(CORPUS)
    for table in TENANT_TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY tenant ON {table} TO chatbot_app USING (tenant_id = {MINE}) WITH CHECK (tenant_id = {MINE})"
        )
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO chatbot_app")
    op.execute("REVOKE ALL ON FUNCTION corpus_changed() FROM PUBLIC")
    op.execute("GRANT USAGE ON SCHEMA public TO chatbot_search")
    op.execute("RESET ROLE")
    op.execute(SEARCH)
    op.execute(DIRECTORY)


def downgrade() -> None:
    raise RuntimeError("Documents came back in another shape: restore a backup instead.")
