-- Times are Unix seconds by this server's clock. JSON is stored as UTF-8 bytes.
-- Texts are compared as bytes (COLLATE "C"): run ids sort by time, and locks are taken in one order everywhere.
-- Rows that are updated at every hop leave room on their page, so that an update touches no index of theirs.
CREATE TABLE meta (key text COLLATE "C" PRIMARY KEY, value text NOT NULL);

CREATE TABLE runs (
    run_id          text COLLATE "C" PRIMARY KEY,
    tenant          text COLLATE "C" NOT NULL,
    conversation_id text COLLATE "C" NOT NULL,
    position        int NOT NULL,              -- its place in the conversation
    status          text NOT NULL,
    stop            text,                      -- cancelled | deadline: end at the next write
    agent           text COLLATE "C",
    request         bytea NOT NULL,            -- the request less its text
    blocked_text    text,                      -- the text until it joins the messages
    text_position   int,
    max_hops        int NOT NULL,
    deadline_at     float8,
    deadline_left_s float8,                    -- while a wait stops the clock
    batch           text,
    redrive_of      text COLLATE "C",
    discarded_at    float8,                    -- off the list of the dead
    root_run_id     text NOT NULL,
    trace_id        text NOT NULL,
    traceparent     text,                      -- of the run's root span; null: accepted without tracing
    tracestate      text,
    caller          text,                      -- traceparent of whoever asked
    root_due        smallint,                  -- 1: ended, and nobody who traces it has learned of it
    last_event      int NOT NULL DEFAULT 0,
    result          bytea,
    error           bytea,
    accepted_at     float8 NOT NULL,
    ended_at        float8
) WITH (fillfactor = 70, toast_tuple_target = 8160);
CREATE INDEX runs_conversation ON runs (tenant, conversation_id, position);
CREATE INDEX runs_line ON runs (tenant, conversation_id, position) WHERE ended_at IS NULL;
CREATE INDEX runs_batch ON runs (batch) WHERE batch IS NOT NULL;
CREATE INDEX runs_deadline ON runs (deadline_at) WHERE deadline_at IS NOT NULL AND ended_at IS NULL;
CREATE INDEX runs_ended ON runs (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX runs_root_due ON runs (run_id) WHERE root_due = 1;
CREATE INDEX runs_stop ON runs (run_id) WHERE stop IS NOT NULL AND ended_at IS NULL;
CREATE INDEX runs_dead ON runs (ended_at, run_id) WHERE error IS NOT NULL AND discarded_at IS NULL;
CREATE INDEX runs_under_way ON runs ((status || ' ' || tenant) COLLATE "C", run_id)
    WHERE status IN ('queued', 'running');
CREATE UNIQUE INDEX runs_redrive ON runs (redrive_of) WHERE redrive_of IS NOT NULL;

CREATE TABLE hops (
    run_id        text COLLATE "C" NOT NULL,
    seq           int NOT NULL,
    agent         text COLLATE "C" NOT NULL,
    from_agent    text,
    kind          text NOT NULL,
    status        text NOT NULL,
    attempt       int NOT NULL DEFAULT 0,
    token         int NOT NULL DEFAULT 0,         -- fences late writers
    claim_id      text COLLATE "C",
    owner         text,
    due_at        float8,                         -- pending: not before (infinity: until admitted); running: lease until
    awaits_poll   boolean NOT NULL DEFAULT false, -- a retry or hand-back: only the poll finds it
    pending_since float8 NOT NULL,
    head          bytea NOT NULL,                 -- the envelope less its texts
    digest        text NOT NULL,
    outcome       bytea,
    error         bytea,
    started_at    float8,
    ended_at      float8,
    PRIMARY KEY (run_id, seq)
) WITH (toast_tuple_target = 8160, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX hops_first ON hops (agent, due_at) WHERE status = 'pending' AND NOT awaits_poll;
CREATE INDEX hops_late ON hops (agent, due_at) WHERE status = 'running' OR (status = 'pending' AND awaits_poll);
CREATE INDEX hops_still ON hops (agent) WHERE status IN ('blocked', 'waiting');

CREATE TABLE steps (
    run_id          text COLLATE "C" NOT NULL,
    scope           text COLLATE "C" NOT NULL,
    key             text COLLATE "C" NOT NULL,
    status          text NOT NULL,
    seq             int NOT NULL,
    attempt         int NOT NULL,
    token           int NOT NULL,
    effect          text NOT NULL,
    input_sha       text NOT NULL,
    idempotency_key text NOT NULL,
    result          bytea NOT NULL,
    started_at      float8 NOT NULL,
    ended_at        float8,
    PRIMARY KEY (run_id, scope, key)
);

CREATE TABLE waits (
    wait_id     text COLLATE "C" PRIMARY KEY,
    run_id      text COLLATE "C" NOT NULL,
    seq         int NOT NULL,
    kind        text NOT NULL,
    agent       text NOT NULL,
    prompt      text NOT NULL,
    options     bytea NOT NULL,
    status      text NOT NULL DEFAULT 'waiting',
    deadline_s  float8,
    deadline_at float8,
    on_timeout  text NOT NULL,
    step_key    text,
    step_scope  text NOT NULL DEFAULT '',
    input_sha   text NOT NULL DEFAULT '',
    answer      bytea,
    created_at  float8 NOT NULL,
    answered_at float8
);
CREATE INDEX waits_run ON waits (run_id, seq);
CREATE INDEX waits_open ON waits (deadline_at) WHERE status = 'waiting';

CREATE TABLE accepted (
    tenant      text COLLATE "C" NOT NULL,
    key         text COLLATE "C" NOT NULL,
    body_hash   text NOT NULL,
    took        text NOT NULL,                 -- run | reply | cancel
    run_id      text NOT NULL,
    wait_id     text,
    accepted_at float8 NOT NULL,
    PRIMARY KEY (tenant, key)
);

CREATE TABLE redeliveries (                    -- messages without a key, for an hour
    tenant      text COLLATE "C" NOT NULL,
    hash        text COLLATE "C" NOT NULL,
    took        text NOT NULL,
    run_id      text NOT NULL,
    accepted_at float8 NOT NULL,
    PRIMARY KEY (tenant, hash)
);
CREATE INDEX redeliveries_age ON redeliveries (accepted_at);

CREATE TABLE conversations (
    tenant          text COLLATE "C" NOT NULL,
    conversation_id text COLLATE "C" NOT NULL,
    active_agent    text,
    active_at       float8,
    facts           bytea NOT NULL,
    next_position   int NOT NULL DEFAULT 0, -- of the next run
    log_length      int NOT NULL DEFAULT 0, -- messages so far
    holder_run      text COLLATE "C",
    PRIMARY KEY (tenant, conversation_id)
) WITH (fillfactor = 50, toast_tuple_target = 8160);

CREATE TABLE messages (
    tenant          text COLLATE "C" NOT NULL,
    conversation_id text COLLATE "C" NOT NULL,
    position        int NOT NULL,
    run_id          text NOT NULL,
    seq             int NOT NULL,
    role            text NOT NULL,
    name            text,
    text            text NOT NULL,
    data            bytea,
    at              float8 NOT NULL,
    PRIMARY KEY (tenant, conversation_id, position)
) WITH (toast_tuple_target = 8160);

CREATE TABLE events (
    run_id text COLLATE "C" NOT NULL,
    number int NOT NULL,
    at     float8 NOT NULL,
    seq    int NOT NULL,
    type   text NOT NULL,
    data   bytea NOT NULL,
    PRIMARY KEY (run_id, number)
);

CREATE TABLE deliveries (
    delivery_id    text COLLATE "C" PRIMARY KEY,
    run_id         text COLLATE "C" NOT NULL,
    wait_id        text,
    reply_to       text NOT NULL,
    correlation_id text,
    status         text NOT NULL DEFAULT 'pending', -- then sent | moot | undeliverable
    due_at         float8 NOT NULL
);
CREATE INDEX deliveries_due ON deliveries (due_at) WHERE status = 'pending';
CREATE INDEX deliveries_run ON deliveries (run_id);

CREATE TABLE addresses (
    run_id         text COLLATE "C" NOT NULL,
    reply_to       text COLLATE "C" NOT NULL,
    correlation_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (run_id, reply_to, correlation_id)
);

CREATE TABLE agents (
    name          text COLLATE "C" PRIMARY KEY,
    card          bytea NOT NULL,
    registered_at float8 NOT NULL
);

-- Which processes serve which agents: not logged, since whoever lives says so again within seconds of a crash.
CREATE UNLOGGED TABLE replicas (
    owner   text COLLATE "C" NOT NULL,
    agent   text COLLATE "C" NOT NULL,
    seen_at float8 NOT NULL,
    PRIMARY KEY (owner, agent)
) WITH (fillfactor = 50);

CREATE TABLE labels (                          -- whose a request was, said by a person
    run_id      text COLLATE "C" PRIMARY KEY,
    agent       text NOT NULL,                 -- or human, or nobody
    labelled_by text NOT NULL,
    labelled_at float8 NOT NULL
);

CREATE TABLE quarantine (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      float8 NOT NULL,
    source  text NOT NULL,
    reason  text NOT NULL,
    headers bytea NOT NULL,
    body    bytea NOT NULL
);
