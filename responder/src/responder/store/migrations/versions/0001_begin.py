"""Begin: alerts, incidents, the chained timeline, and every row that can be due.

Revision ID: 0001
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Every table whose rows can be due carries the same columns; `id` names the row.
DUE = """
    due_at       timestamptz,                       -- null: nothing to do
    lease_until  timestamptz,                       -- a worker has it until then
    attempt      integer NOT NULL DEFAULT 0,        -- counts claims; a worker whose number is old has lost the row
    failures     integer NOT NULL DEFAULT 0,        -- those since the row last went well: the back-off grows with them
    last_error   text
"""

TABLES = f"""
CREATE TABLE runbook_revisions (
    sha256   text PRIMARY KEY,
    path     text NOT NULL,
    text     text NOT NULL,
    read_at  timestamptz NOT NULL
);

CREATE TABLE incidents (
    id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    service            text NOT NULL,
    alertname          text NOT NULL,
    title              text NOT NULL,
    severity           text NOT NULL CHECK (severity IN ('P0', 'P1', 'P2')),
    kind               text NOT NULL CHECK (kind IN ('cause', 'symptom', 'security')),
    -- triggered -> acknowledged -> assessed -> mitigated -> resolved -> reviewed; resolved, reviewed -> reopened
    status             text NOT NULL CHECK (status IN
                       ('triggered', 'acknowledged', 'assessed', 'mitigated', 'resolved', 'reviewed', 'reopened')),
    restricted         boolean NOT NULL,
    runbook_sha256     text REFERENCES runbook_revisions,
    runbook_entry      text,
    alert_labels       jsonb NOT NULL,
    policy             text NOT NULL,
    commander          text,
    opened_at          timestamptz NOT NULL,
    status_changed_at  timestamptz NOT NULL,
    quiet_since        timestamptz,
    resolved_at        timestamptz,
    CHECK ((runbook_sha256 IS NULL) = (runbook_entry IS NULL)),
    CHECK ((status IN ('resolved', 'reviewed')) = (resolved_at IS NOT NULL))
);
-- One open incident for one alert of one service: everything further joins it.
CREATE UNIQUE INDEX incidents_one_open ON incidents (service, alertname)
    WHERE status NOT IN ('resolved', 'reviewed');

CREATE TABLE alerts (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fingerprint    text NOT NULL,
    starts_at      timestamptz NOT NULL,
    status         text NOT NULL CHECK (status IN ('firing', 'resolved')),
    ends_at        timestamptz,
    labels         jsonb NOT NULL,
    annotations    jsonb NOT NULL,
    generator_url  text NOT NULL,
    received_at    timestamptz NOT NULL,
    last_seen_at   timestamptz NOT NULL,
    incident_id    bigint REFERENCES incidents,
    {DUE},
    UNIQUE (fingerprint, starts_at),
    CHECK (status = 'firing' OR ends_at IS NOT NULL)
);

CREATE TABLE timeline (
    incident_id  bigint NOT NULL REFERENCES incidents,
    seq          integer NOT NULL CHECK (seq > 0),
    at           timestamptz NOT NULL,
    kind         text NOT NULL,
    actor        text NOT NULL,
    text         text NOT NULL,
    data         jsonb NOT NULL,
    previous     text NOT NULL,
    hash         text NOT NULL,
    PRIMARY KEY (incident_id, seq)
);

CREATE TABLE evidence (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident_id  bigint NOT NULL REFERENCES incidents,
    position     integer NOT NULL,
    key          text NOT NULL,
    step_number  text NOT NULL,
    step_title   text NOT NULL,
    kind         text NOT NULL,
    text         text NOT NULL,
    line         integer NOT NULL,
    probe        jsonb NOT NULL,
    outcome      text NOT NULL CHECK (outcome IN
                 ('pending', 'ok', 'empty', 'error', 'timeout', 'refused', 'not_run')),
    judgement    text CHECK (judgement IN ('bad', 'good', 'neutral', 'unknown')),
    verdict      text,
    reason       text NOT NULL,
    output       text,
    data         jsonb NOT NULL DEFAULT '{{}}',
    started_at   timestamptz,
    ended_at     timestamptz,
    {DUE},
    UNIQUE (incident_id, key),
    CHECK (outcome IN ('pending', 'not_run') OR (verdict IS NOT NULL AND ended_at IS NOT NULL)),
    CHECK (outcome <> 'not_run' OR due_at IS NULL)
);

CREATE TABLE diagnoses (
    id  bigint PRIMARY KEY REFERENCES incidents,
    {DUE}
);

CREATE TABLE findings (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident_id  bigint NOT NULL REFERENCES incidents,
    claim        text NOT NULL,
    confidence   text NOT NULL CHECK (confidence IN ('measured', 'likely', 'possible')),
    component    text,
    cites        bigint[] NOT NULL CHECK (cardinality(cites) > 0),
    UNIQUE (incident_id, claim)
);

CREATE TABLE escalations (
    id            bigint PRIMARY KEY REFERENCES incidents,
    policy        jsonb NOT NULL,                    -- the policy as it was when the incident opened
    round         integer NOT NULL,
    step          integer NOT NULL,
    round_began   timestamptz NOT NULL,
    {DUE}
);

CREATE TABLE pages (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident_id      bigint NOT NULL REFERENCES incidents,
    round            integer NOT NULL,
    step             integer NOT NULL,
    person           text NOT NULL,
    channel          text NOT NULL,
    address          text NOT NULL,
    idempotency_key  text NOT NULL UNIQUE,
    body             jsonb NOT NULL,
    -- due -> sent | failed | withdrawn
    state            text NOT NULL CHECK (state IN ('due', 'sent', 'failed', 'withdrawn')),
    created_at       timestamptz NOT NULL,
    sent_at          timestamptz,
    {DUE},
    UNIQUE (incident_id, round, step, person, channel),
    CHECK ((state = 'sent') = (sent_at IS NOT NULL)),
    CHECK ((state = 'due') = (due_at IS NOT NULL))
);

CREATE TABLE deadlines (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident_id  bigint NOT NULL REFERENCES incidents,
    milestone    text NOT NULL CHECK (milestone IN ('acknowledge', 'assess', 'mitigate', 'resolve', 'review')),
    limit_seconds integer NOT NULL CHECK (limit_seconds > 0),
    deadline     timestamptz NOT NULL,
    met_at       timestamptz,
    missed_at    timestamptz,
    {DUE},
    UNIQUE (incident_id, milestone)
);

CREATE TABLE remediations (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident_id  bigint NOT NULL REFERENCES incidents,
    position     integer NOT NULL,
    key          text NOT NULL,
    label        text NOT NULL,
    words        text NOT NULL,                  -- what the runbook says of it
    text         text NOT NULL,
    line         integer NOT NULL,
    -- offered -> previewing -> previewed -> approved -> running -> verifying -> verified | failed; see core/remediation.py
    state        text NOT NULL CHECK (state IN ('offered', 'previewing', 'previewed', 'approved', 'running',
                 'verifying', 'verified', 'failed', 'undoing', 'undone', 'withdrawn')),
    runnable     boolean NOT NULL,
    reason       text NOT NULL,
    requests     jsonb NOT NULL,
    -- What the person who asked for the preview answered, by name.
    inputs       jsonb NOT NULL DEFAULT '{{}}' CHECK (jsonb_typeof(inputs) = 'object'),
    preview      jsonb,
    digest       text,
    approved_by  text,
    expires_at   timestamptz,
    result       jsonb,
    {DUE},
    UNIQUE (incident_id, key),
    CHECK (runnable OR state IN ('offered', 'withdrawn')),
    CHECK (state NOT IN ('approved', 'running', 'verifying', 'verified') OR approved_by IS NOT NULL),
    CHECK (state NOT IN ('previewed', 'approved') OR (digest IS NOT NULL AND expires_at IS NOT NULL))
);
-- The world is changed by one hand at a time.
CREATE UNIQUE INDEX remediations_one_running ON remediations (incident_id)
    WHERE state IN ('approved', 'running', 'verifying', 'undoing');

CREATE TABLE status_updates (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident_id   bigint NOT NULL REFERENCES incidents,
    state         text NOT NULL CHECK (state IN ('investigating', 'identified', 'monitoring', 'resolved')),
    component     text NOT NULL,
    body          text NOT NULL,
    created_at    timestamptz NOT NULL,
    published_at  timestamptz,
    {DUE}
);

CREATE TABLE recoveries (
    id  bigint PRIMARY KEY REFERENCES incidents,
    {DUE}
);

CREATE TABLE postmortems (
    id          bigint PRIMARY KEY REFERENCES incidents,
    markdown    text,
    written_at  timestamptz,
    {DUE}
);
"""

DUE_TABLES = (
    "alerts", "evidence", "diagnoses", "escalations", "pages", "deadlines", "remediations",
    "status_updates", "recoveries", "postmortems",
)  # fmt: skip

TRIGGERS = """
CREATE FUNCTION wake_workers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('due', TG_TABLE_NAME);
    RETURN NULL;
END $$;

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the timeline is append-only: % is refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER timeline_append_only BEFORE UPDATE OR DELETE ON timeline
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER timeline_not_truncated BEFORE TRUNCATE ON timeline
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION tell_timeline() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('timeline', NEW.incident_id::text);
    RETURN NULL;
END $$;
CREATE TRIGGER timeline_told AFTER INSERT ON timeline FOR EACH ROW EXECUTE FUNCTION tell_timeline();
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(TRIGGERS)
    for table in DUE_TABLES:
        op.execute(f"CREATE INDEX {table}_due ON {table} (due_at) WHERE due_at IS NOT NULL")
        # PostgreSQL folds equal notifications of one transaction into one.
        op.execute(
            f"CREATE TRIGGER {table}_wake AFTER INSERT OR UPDATE OF due_at ON {table}"
            " FOR EACH ROW WHEN (NEW.due_at IS NOT NULL) EXECUTE FUNCTION wake_workers()"
        )


def downgrade() -> None:
    raise RuntimeError("There is nothing before the beginning: drop the database instead.")
