-- Times are Unix seconds by this machine's clock. JSON is stored as UTF-8 bytes.
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE runs (
    run_id          TEXT PRIMARY KEY,
    tenant          TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    position        INTEGER NOT NULL,          -- its place in the conversation
    status          TEXT NOT NULL,
    stop            TEXT,                      -- cancelled | deadline: end at the next write
    agent           TEXT,
    request         BLOB NOT NULL,             -- the request less its text
    blocked_text    TEXT,                      -- the text until it joins the messages
    text_position   INTEGER,
    max_hops        INTEGER NOT NULL,
    deadline_at     REAL,
    deadline_left_s REAL,                      -- while a wait stops the clock
    batch           TEXT,
    redrive_of      TEXT,
    discarded_at    REAL,                      -- off the list of the dead
    root_run_id     TEXT NOT NULL,
    trace_id        TEXT NOT NULL,
    traceparent     TEXT,                      -- of the run's root span; null: accepted without tracing
    tracestate      TEXT,
    caller          TEXT,                      -- traceparent of whoever asked
    root_due        INTEGER NOT NULL DEFAULT 0, -- ended, and nobody who traces it has learned of it
    last_event      INTEGER NOT NULL DEFAULT 0,
    result          BLOB,
    error           BLOB,
    accepted_at     REAL NOT NULL,
    ended_at        REAL
) WITHOUT ROWID;
CREATE INDEX runs_conversation ON runs (tenant, conversation_id, position);
CREATE INDEX runs_batch ON runs (batch) WHERE batch IS NOT NULL;
CREATE INDEX runs_deadline ON runs (deadline_at) WHERE deadline_at IS NOT NULL AND ended_at IS NULL;
CREATE INDEX runs_ended ON runs (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX runs_root_due ON runs (run_id) WHERE root_due;
CREATE INDEX runs_stop ON runs (run_id) WHERE stop IS NOT NULL AND ended_at IS NULL;
CREATE INDEX runs_failed ON runs (ended_at) WHERE status = 'failed' AND discarded_at IS NULL;
CREATE UNIQUE INDEX runs_redrive ON runs (redrive_of) WHERE redrive_of IS NOT NULL;
CREATE INDEX runs_under_way ON runs (status, tenant, run_id) WHERE status IN ('queued', 'running');
CREATE INDEX runs_open ON runs (run_id) WHERE ended_at IS NULL;

CREATE TABLE hops (
    run_id        TEXT NOT NULL,
    seq           INTEGER NOT NULL,
    agent         TEXT NOT NULL,
    from_agent    TEXT,
    kind          TEXT NOT NULL,
    status        TEXT NOT NULL,
    attempt       INTEGER NOT NULL DEFAULT 0,
    token         INTEGER NOT NULL DEFAULT 0,  -- fences late writers
    claim_id      TEXT,
    owner         TEXT,
    due_at        REAL,                        -- pending: not before (infinity: until admitted); running: lease until
    awaits_poll     INTEGER NOT NULL DEFAULT 0,  -- a retry or hand-back: only the poll finds it
    pending_since REAL NOT NULL,
    head          BLOB NOT NULL,               -- the envelope less its texts
    digest        TEXT NOT NULL,
    outcome       BLOB,
    error         BLOB,
    started_at    REAL,
    ended_at      REAL,
    PRIMARY KEY (run_id, seq)
) WITHOUT ROWID;
CREATE INDEX hops_due ON hops (agent, due_at) WHERE status IN ('pending', 'running');
CREATE INDEX hops_still ON hops (agent) WHERE status IN ('blocked', 'waiting');

CREATE TABLE steps (
    run_id          TEXT NOT NULL,
    scope           TEXT NOT NULL,
    key             TEXT NOT NULL,
    status          TEXT NOT NULL,
    seq             INTEGER NOT NULL,
    attempt         INTEGER NOT NULL,
    token           INTEGER NOT NULL,
    effect          TEXT NOT NULL,
    input_sha       TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    result          BLOB NOT NULL,
    started_at      REAL NOT NULL,
    ended_at        REAL,
    PRIMARY KEY (run_id, scope, key)
) WITHOUT ROWID;

CREATE TABLE waits (
    wait_id     TEXT PRIMARY KEY,
    run_id      TEXT NOT NULL,
    seq         INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    agent       TEXT NOT NULL,
    prompt      TEXT NOT NULL,
    options     BLOB NOT NULL,
    status      TEXT NOT NULL DEFAULT 'waiting',
    deadline_s  REAL,
    deadline_at REAL,
    on_timeout  TEXT NOT NULL,
    step_key    TEXT,
    step_scope  TEXT NOT NULL DEFAULT '',
    input_sha   TEXT NOT NULL DEFAULT '',
    answer      BLOB,
    created_at  REAL NOT NULL,
    answered_at REAL
) WITHOUT ROWID;
CREATE INDEX waits_run ON waits (run_id, seq);
CREATE INDEX waits_open ON waits (deadline_at) WHERE status = 'waiting';

CREATE TABLE accepted (
    tenant      TEXT NOT NULL,
    key         TEXT NOT NULL,
    body_hash   TEXT NOT NULL,
    took        TEXT NOT NULL,                 -- run | reply | cancel
    run_id      TEXT NOT NULL,
    wait_id     TEXT,
    accepted_at REAL NOT NULL,
    PRIMARY KEY (tenant, key)
) WITHOUT ROWID;

CREATE TABLE redeliveries (                    -- messages without a key, for an hour
    tenant      TEXT NOT NULL,
    hash        TEXT NOT NULL,
    took        TEXT NOT NULL,
    run_id      TEXT NOT NULL,
    accepted_at REAL NOT NULL,
    PRIMARY KEY (tenant, hash)
) WITHOUT ROWID;
CREATE INDEX redeliveries_age ON redeliveries (accepted_at);

CREATE TABLE conversations (
    tenant          TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    active_agent    TEXT,
    active_at       REAL,
    facts           BLOB NOT NULL,
    next_position   INTEGER NOT NULL DEFAULT 0, -- of the next run
    log_length      INTEGER NOT NULL DEFAULT 0, -- messages so far
    holder_run      TEXT,
    PRIMARY KEY (tenant, conversation_id)
) WITHOUT ROWID;

CREATE TABLE messages (
    tenant          TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    position        INTEGER NOT NULL,
    run_id          TEXT NOT NULL,
    seq             INTEGER NOT NULL,
    role            TEXT NOT NULL,
    name            TEXT,
    text            TEXT NOT NULL,
    data            BLOB,
    at              REAL NOT NULL,
    PRIMARY KEY (tenant, conversation_id, position)
) WITHOUT ROWID;

CREATE TABLE events (
    run_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    at     REAL NOT NULL,
    seq    INTEGER NOT NULL,
    type   TEXT NOT NULL,
    data   BLOB NOT NULL,
    PRIMARY KEY (run_id, number)
) WITHOUT ROWID;

CREATE TABLE deliveries (
    delivery_id    TEXT PRIMARY KEY,
    run_id         TEXT NOT NULL,
    wait_id        TEXT,
    reply_to       TEXT NOT NULL,
    correlation_id TEXT,
    status         TEXT NOT NULL DEFAULT 'pending', -- then sent | moot | undeliverable
    due_at         REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX deliveries_due ON deliveries (due_at) WHERE status = 'pending';

CREATE TABLE addresses (
    run_id         TEXT NOT NULL,
    reply_to       TEXT NOT NULL,
    correlation_id TEXT NOT NULL,
    PRIMARY KEY (run_id, reply_to, correlation_id)
) WITHOUT ROWID;

CREATE TABLE agents (
    name          TEXT PRIMARY KEY,
    card          BLOB NOT NULL,
    registered_at REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE replicas (                        -- which processes serve which agents
    owner   TEXT NOT NULL,
    agent   TEXT NOT NULL,
    seen_at REAL NOT NULL,
    PRIMARY KEY (owner, agent)
) WITHOUT ROWID;

CREATE TABLE labels (                          -- whose a request was, said by a person
    run_id      TEXT PRIMARY KEY,
    agent       TEXT NOT NULL,                 -- or human, or nobody
    labelled_by TEXT NOT NULL,
    labelled_at REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE quarantine (
    id      INTEGER PRIMARY KEY AUTOINCREMENT, -- no id ever names another message
    at      REAL NOT NULL,
    source  TEXT NOT NULL,
    reason  TEXT NOT NULL,
    headers BLOB NOT NULL,
    body    BLOB NOT NULL
);
