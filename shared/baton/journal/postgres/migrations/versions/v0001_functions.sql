-- One call of a function is one transaction and one round trip, for a whole batch; arguments are arrays, an item at
-- each index. READ COMMITTED: each statement sees what was committed before it began, so locks come first, in
-- statements of their own, and what decides comes after. Locks are taken on conversations, then runs, then hops, each
-- in key order. Whoever changes a hop's status or token holds its run's row.
-- What a function does not return it has not touched; an item returned as slow is decided by the caller.
--
-- Each item's rows are looked up by their primary key, in subqueries of their own (LATERAL … OFFSET 0, or LIMIT 1),
-- and what an index of another condition could be used for is written `(…) IS TRUE`: so the plan is the same for
-- tables that have just been made and for large ones, whatever the statistics say.

CREATE FUNCTION clock() RETURNS float8 LANGUAGE sql VOLATILE AS $$ SELECT date_part('epoch', clock_timestamp()) $$;

-- Returns the first run that waits for its conversation.
CREATE FUNCTION first_blocked(p_tenant text, p_conversation text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT b.run_id FROM runs b
    WHERE b.tenant = p_tenant AND b.conversation_id = p_conversation AND b.ended_at IS NULL
    AND (SELECT true FROM hops h WHERE h.run_id = b.run_id AND (h.status = 'blocked') IS TRUE LIMIT 1)
    ORDER BY b.position LIMIT 1
$$;

-- Locks the conversations of some runs, the runs, and whoever is next in line after them; returns the time after that.
CREATE FUNCTION lock_runs(wanted text[]) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
    following text[];
BEGIN
    PERFORM 1 FROM unnest(wanted) AS w (id)
    CROSS JOIN LATERAL (SELECT q.tenant, q.conversation_id FROM runs q WHERE q.run_id = w.id OFFSET 0) r
    JOIN conversations c ON c.tenant = r.tenant AND c.conversation_id = r.conversation_id
    ORDER BY c.tenant, c.conversation_id FOR UPDATE OF c;
    following := ARRAY(
        SELECT first_blocked(r.tenant, r.conversation_id) FROM unnest(wanted) AS w (id)
        CROSS JOIN LATERAL (SELECT q.tenant, q.conversation_id FROM runs q WHERE q.run_id = w.id OFFSET 0) r
    );
    PERFORM 1 FROM runs r WHERE r.run_id = ANY (wanted || following) ORDER BY r.run_id FOR UPDATE;
    RETURN clock();
END $$;

-- Returns how many runs of a tenant are under way, `p_limit` at most.
CREATE FUNCTION running_of(p_tenant text, p_limit int) RETURNS int LANGUAGE sql VOLATILE AS $$
    SELECT count(*) FROM (
        SELECT 1 FROM runs r WHERE r.status IN ('queued', 'running')
        AND (r.status || ' ' || r.tenant) COLLATE "C" = ('running ' || p_tenant) COLLATE "C" LIMIT p_limit
    ) q
$$;

-- Returns runs of a tenant that wait to be admitted, the oldest first.
CREATE FUNCTION waiting_of(p_tenant text, p_limit int) RETURNS SETOF text LANGUAGE sql VOLATILE AS $$
    SELECT r.run_id FROM runs r WHERE r.status IN ('queued', 'running')
    AND (r.status || ' ' || r.tenant) COLLATE "C" = ('queued ' || p_tenant) COLLATE "C"
    AND (SELECT (h.status = 'pending' AND h.due_at = 'infinity') IS TRUE FROM hops h
        WHERE h.run_id = r.run_id AND h.seq = 0)
    ORDER BY r.run_id LIMIT p_limit
$$;

-- Returns how many more runs a tenant may have under way: none while others of it wait to be admitted.
CREATE FUNCTION room_of(p_tenant text, p_limit int) RETURNS int LANGUAGE sql VOLATILE AS $$
    SELECT CASE WHEN EXISTS (SELECT 1 FROM waiting_of(p_tenant, 1)) THEN 0 ELSE p_limit - running_of(p_tenant, p_limit) END
$$;

-- Accepts requests that begin a conversation; returns which. The others (a key or conversation that is known) are slow.
-- Statements in their order: whoever has inserted a conversation has it locked, and comes first everywhere.
CREATE FUNCTION accept_runs(
    p_run text[], p_tenant text[], p_conversation text[], p_key text[], p_body_hash text[], p_redelivery text[],
    p_request bytea[], p_text text[], p_facts bytea[], p_head bytea[], p_max_hops int[], p_deadline_s float8[],
    p_batch text[], p_traceparent text[], p_tracestate text[], p_caller text[], p_reply_to text[], p_correlation text[],
    p_claim text[], p_owner text[], p_lease_s float8[], p_running int[]
) RETURNS TABLE (item int, accepted_at float8, has_to_wait boolean) LANGUAGE plpgsql AS $$
DECLARE
    v_new boolean[];
    v_wait boolean[] := array_fill(false, ARRAY[cardinality(p_run)]);
    v_claim boolean[];
    v_now float8;
BEGIN
    v_new := ARRAY(
        SELECT (SELECT true FROM accepted a WHERE a.tenant = p_tenant[i] AND a.key = p_key[i] LIMIT 1) IS NULL
            AND (SELECT true FROM runs r WHERE r.run_id = p_run[i] LIMIT 1) IS NULL
        FROM generate_series(1, cardinality(p_run)) AS s (i) ORDER BY i
    );
    INSERT INTO conversations (tenant, conversation_id, facts, next_position, log_length, holder_run)
    SELECT p_tenant[i], p_conversation[i], p_facts[i], 1, 1, p_run[i]
    FROM generate_series(1, cardinality(p_run)) AS s (i) WHERE v_new[i]
    ON CONFLICT DO NOTHING;
    v_new := ARRAY(
        SELECT v_new[i] AND (
            SELECT c.holder_run FROM conversations c
            WHERE c.tenant = p_tenant[i] AND c.conversation_id = p_conversation[i] LIMIT 1
        ) = p_run[i]
        FROM generate_series(1, cardinality(p_run)) AS s (i) ORDER BY i
    );
    IF EXISTS (SELECT 1 FROM unnest(p_running) AS r (n) WHERE n IS NOT NULL) THEN
        v_wait := ARRAY(
            SELECT coalesce(row_number() OVER (PARTITION BY p_tenant[i], v_new[i] ORDER BY i) > t.room, false)
            FROM generate_series(1, cardinality(p_run)) AS s (i)
            LEFT JOIN (
                SELECT q.tenant, room_of(q.tenant, q.running) AS room
                FROM (SELECT DISTINCT * FROM unnest(p_tenant, p_running) AS u (tenant, running)) q
                WHERE q.running IS NOT NULL
            ) t ON t.tenant = p_tenant[i]
            ORDER BY i
        );
    END IF;
    v_claim := ARRAY(
        SELECT p_claim[i] IS NOT NULL AND NOT v_wait[i]
        FROM generate_series(1, cardinality(p_run)) AS s (i) ORDER BY i
    );
    v_now := clock();
    -- A key that somebody else records at this moment breaks the call: then each of its requests goes its own way.
    INSERT INTO accepted
    SELECT p_tenant[i], p_key[i], p_body_hash[i], 'run', p_run[i], NULL, v_now
    FROM generate_series(1, cardinality(p_run)) AS s (i) WHERE v_new[i] AND p_key[i] IS NOT NULL
    ORDER BY 1, 2;
    RETURN QUERY
    WITH w AS MATERIALIZED (SELECT i FROM generate_series(1, cardinality(p_run)) AS s (i) WHERE v_new[i]),
    begun AS (
        INSERT INTO runs (run_id, tenant, conversation_id, position, status, request, text_position, max_hops,
            deadline_at, batch, root_run_id, trace_id, traceparent, tracestate, caller, last_event, accepted_at)
        SELECT p_run[i], p_tenant[i], p_conversation[i], 0,
            CASE WHEN v_claim[i] OR p_running[i] IS NOT NULL AND NOT v_wait[i] THEN 'running' ELSE 'queued' END,
            p_request[i], 0, p_max_hops[i], v_now + p_deadline_s[i], p_batch[i], p_run[i],
            coalesce(substr(p_traceparent[i], 4, 32), p_run[i]), p_traceparent[i], p_tracestate[i], p_caller[i], 1 + v_wait[i]::int, v_now
        FROM w
    ),
    first AS (
        INSERT INTO hops (run_id, seq, agent, kind, status, attempt, token, claim_id, owner, due_at, pending_since,
            head, digest, started_at)
        SELECT p_run[i], 0, 'router', 'route', CASE WHEN v_claim[i] THEN 'running' ELSE 'pending' END,
            v_claim[i]::int, v_claim[i]::int, CASE WHEN v_claim[i] THEN p_claim[i] END,
            CASE WHEN v_claim[i] THEN p_owner[i] END,
            CASE WHEN v_wait[i] THEN 'infinity' ELSE v_now + coalesce(p_lease_s[i], 0) END, v_now, p_head[i], '',
            CASE WHEN v_claim[i] THEN v_now END
        FROM w
    ),
    said AS (
        INSERT INTO messages
        SELECT p_tenant[i], p_conversation[i], 0, p_run[i], 0, 'user', NULL, p_text[i], NULL, v_now FROM w
    ),
    told AS (
        INSERT INTO events SELECT p_run[i], 1, v_now, 0, 'accepted', '{"position":0}' FROM w
        UNION ALL
        SELECT p_run[i], 2, v_now, 0, 'queued',
            convert_to(format('{"tenant_running":%s}', p_running[i]), 'UTF8')
        FROM w WHERE v_wait[i]
    ),
    asked AS (
        INSERT INTO addresses SELECT p_run[i], p_reply_to[i], coalesce(p_correlation[i], '') FROM w
        WHERE p_reply_to[i] IS NOT NULL
    )
    SELECT w.i, v_now, v_wait[i] FROM w;
    INSERT INTO redeliveries
    SELECT DISTINCT ON (p_tenant[i], p_redelivery[i]) p_tenant[i], p_redelivery[i], 'run', p_run[i], v_now
    FROM generate_series(1, cardinality(p_run)) AS s (i)
    WHERE v_new[i] AND p_key[i] IS NULL AND p_redelivery[i] IS NOT NULL
    ORDER BY p_tenant[i], p_redelivery[i], i DESC
    ON CONFLICT (tenant, hash) DO UPDATE
    SET took = excluded.took, run_id = excluded.run_id, accepted_at = excluded.accepted_at;
END $$;

-- Lets runs begin that waited for room, up to `p_limit` under way of each tenant; returns them, tenants in turn.
-- One process at a time, so that none counts what another is about to add.
CREATE FUNCTION admit_runs(p_limit int) RETURNS TABLE (run_id text, tenant text, traceparent text, tracestate text)
LANGUAGE plpgsql AS $$
DECLARE
    v_now float8;
    v_tenant text := '';
    v_found text[];
    v_run text[] := '{}';
    v_turn int[] := '{}';
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('baton.admit.' || current_schema())) THEN
        RETURN;
    END IF;
    LOOP
        SELECT r.tenant INTO v_tenant FROM runs r WHERE r.status IN ('queued', 'running')
        AND (r.status || ' ' || r.tenant) COLLATE "C" > ('queued ' || v_tenant) COLLATE "C"
        AND (r.status || ' ' || r.tenant) COLLATE "C" < 'queued!' COLLATE "C"
        ORDER BY (r.status || ' ' || r.tenant) COLLATE "C" LIMIT 1;
        EXIT WHEN NOT FOUND;
        v_found := ARRAY(
            SELECT r.run_id FROM runs r
            WHERE r.run_id IN (SELECT waiting_of(v_tenant, p_limit - running_of(v_tenant, p_limit)))
            ORDER BY r.run_id FOR UPDATE SKIP LOCKED
        );
        v_run := v_run || v_found;
        v_turn := v_turn || ARRAY(SELECT * FROM generate_series(1, cardinality(v_found)));
    END LOOP;
    v_now := clock();
    RETURN QUERY
    WITH due AS (
        UPDATE hops AS h SET due_at = v_now, pending_since = v_now
        WHERE h.run_id = ANY (v_run) AND h.seq = 0 AND (h.status = 'pending' AND h.due_at = 'infinity') IS TRUE
        RETURNING h.run_id
    ),
    begun AS (
        UPDATE runs AS r SET status = 'running', last_event = r.last_event + 1
        FROM due d WHERE r.run_id = d.run_id
        RETURNING r.run_id, r.tenant, r.traceparent, r.tracestate, r.last_event
    ),
    told AS (
        INSERT INTO events SELECT b.run_id, b.last_event, v_now, 0, 'admitted', '{}' FROM begun b
    )
    SELECT b.run_id, b.tenant, b.traceparent, b.tracestate FROM begun b
    JOIN unnest(v_run, v_turn) AS u (id, turn) ON u.id = b.run_id
    ORDER BY u.turn, b.tenant;
END $$;

-- Claims hops whose time has come; of lost ones only those with fewer attempts than `p_lost_below`.
-- Slow: the run has to stop, attempts are used up, or the claim is mine already.
CREATE FUNCTION claim_hops(
    p_run text[], p_seq int[], p_agent text[], p_claim text[], p_owner text[], p_lease_s float8[], p_max int[],
    p_lost_below int[], p_digest text[]
) RETURNS TABLE (
    item int, now float8, token int, attempt int, kind text, pending_since float8, digest text, head bytea,
    tenant text, conversation_id text, root_run_id text, request bytea, deadline_at float8,
    active_agent text, active_at float8, facts bytea, log_length int, has_steps boolean,
    traceparent text, tracestate text, caller text, accepted_at float8
) LANGUAGE plpgsql AS $$
DECLARE
    v_now float8;
    v_count int;
BEGIN
    PERFORM 1 FROM runs r WHERE r.run_id = ANY (p_run) ORDER BY r.run_id FOR UPDATE;
    v_now := clock();
    RETURN QUERY
    WITH w AS MATERIALIZED (
        SELECT s.i, r.status, r.tenant, r.conversation_id, r.root_run_id, r.request, r.deadline_at, r.traceparent,
            r.tracestate, r.caller, r.accepted_at
        FROM generate_series(1, cardinality(p_run)) AS s (i)
        CROSS JOIN LATERAL (
            SELECT q.status, q.tenant, q.conversation_id, q.root_run_id, q.request, q.deadline_at, q.traceparent,
                q.tracestate, q.caller, q.accepted_at, q.ended_at, q.stop
            FROM runs q WHERE q.run_id = p_run[i] OFFSET 0
        ) r
        WHERE r.ended_at IS NULL AND r.stop IS NULL
    ),
    taken AS (
        UPDATE hops AS h
        SET status = 'running', token = h.token + 1, attempt = h.attempt + 1, claim_id = p_claim[i],
            owner = p_owner[i], due_at = v_now + p_lease_s[i], started_at = v_now
        FROM w WHERE h.run_id = p_run[i] AND h.seq = p_seq[i] AND (
            h.agent = p_agent[i] AND h.status IN ('pending', 'running') AND h.due_at <= v_now
            AND h.claim_id IS DISTINCT FROM p_claim[i] AND h.attempt < p_max[i]
            AND (h.status = 'pending' OR h.attempt < p_lost_below[i])
        ) IS TRUE
        RETURNING w.i, h.run_id, h.seq, h.agent, h.token, h.attempt, h.kind, h.pending_since, h.digest,
            CASE WHEN p_digest[i] IS DISTINCT FROM h.digest THEN h.head END AS head,
            w.status AS was, w.tenant, w.conversation_id, w.root_run_id,
            CASE WHEN h.kind = 'route' THEN w.request END AS request, w.deadline_at, w.traceparent, w.tracestate,
            w.caller, w.accepted_at
    ),
    begun AS (
        UPDATE runs AS r SET status = 'running', last_event = r.last_event + (t.attempt > 1)::int
        FROM taken t WHERE r.run_id = t.run_id AND (t.was = 'queued' OR t.attempt > 1)
        RETURNING r.run_id, r.last_event, t.seq, t.attempt, t.agent
    ),
    told AS (
        INSERT INTO events
        SELECT b.run_id, b.last_event, v_now, b.seq, 'attempt',
            convert_to(format('{"agent":%s,"attempt":%s%s}', to_json(b.agent), b.attempt, (
                SELECT format(',"lost":[%s,%s]', h.started_at, least(h.due_at, v_now))  -- as it was before this claim
                FROM hops h WHERE h.run_id = b.run_id AND h.seq = b.seq AND h.status = 'running'
            )), 'UTF8')
        FROM begun b WHERE b.attempt > 1
    )
    SELECT t.i, v_now, t.token, t.attempt, t.kind, t.pending_since, t.digest, t.head, t.tenant, t.conversation_id,
        t.root_run_id, t.request, t.deadline_at, c.active_agent, c.active_at, c.facts, c.log_length,
        (SELECT true FROM steps s WHERE s.run_id = t.run_id LIMIT 1), t.traceparent, t.tracestate, t.caller, t.accepted_at
    FROM taken t CROSS JOIN LATERAL (
        SELECT q.active_agent, q.active_at, q.facts, q.log_length FROM conversations q
        WHERE q.tenant = t.tenant AND q.conversation_id = t.conversation_id OFFSET 0
    ) c;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    IF v_count = cardinality(p_run) THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT s.i, v_now, NULL::int, NULL::int, NULL, NULL::float8, NULL, NULL::bytea, NULL, NULL, NULL, NULL::bytea,
        NULL::float8, NULL, NULL::float8, NULL::bytea, NULL::int, NULL::boolean, NULL, NULL, NULL, NULL::float8
    FROM generate_series(1, cardinality(p_run)) AS s (i)
    CROSS JOIN LATERAL (SELECT q.ended_at, q.stop FROM runs q WHERE q.run_id = p_run[i] OFFSET 0) r
    CROSS JOIN LATERAL (
        SELECT q.agent, q.status, q.due_at, q.attempt, q.claim_id, q.started_at
        FROM hops q WHERE q.run_id = p_run[i] AND q.seq = p_seq[i] OFFSET 0
    ) h
    WHERE h.agent = p_agent[i] AND h.status IN ('pending', 'running') AND r.ended_at IS NULL AND (
        h.due_at <= v_now AND (r.stop IS NOT NULL OR h.attempt >= p_max[i])
        AND (h.status = 'pending' OR h.attempt < p_lost_below[i])
        OR h.status = 'running' AND h.claim_id = p_claim[i] AND h.started_at < v_now
    );
END $$;

-- Finds hops of an agent that the broker will not deliver, and claims them: due retries, hand-backs and lost leases by
-- due time, then first attempts that were missed. At most one hop that may be what killed its workers (suspect).
-- A run whose row somebody has locked is being worked on, and is left out.
CREATE FUNCTION poll_hops(
    p_agent text, p_claim text, p_owner text, p_lease_s float8, p_max int, p_limit int, p_suspect_from int,
    p_takes_suspect boolean, p_missed_before float8, p_overdue_s float8, p_busy_run text[], p_busy_seq int[]
) RETURNS TABLE (
    run_id text, seq int, is_suspect boolean,
    item int, now float8, token int, attempt int, kind text, pending_since float8, digest text, head bytea,
    tenant text, conversation_id text, root_run_id text, request bytea, deadline_at float8,
    active_agent text, active_at float8, facts bytea, log_length int, has_steps boolean,
    traceparent text, tracestate text, caller text, accepted_at float8
) LANGUAGE plpgsql AS $$
DECLARE
    v_now float8 := clock();
    v_run text[] := '{}';
    v_seq int[] := '{}';
    v_suspects int := 0;
    v_more_run text[];
    v_more_seq int[];
    v_missed float8 := greatest(p_missed_before, v_now - p_overdue_s);
BEGIN
    IF p_takes_suspect THEN
        SELECT array_agg(q.run_id), array_agg(q.seq) INTO v_more_run, v_more_seq FROM (
            SELECT h.run_id, h.seq FROM hops h JOIN runs r ON r.run_id = h.run_id
            WHERE h.agent = p_agent AND h.due_at <= v_now
            AND (h.status = 'running' OR (h.status = 'pending' AND h.awaits_poll))
            AND h.status = 'running' AND h.attempt >= p_suspect_from
            AND (h.run_id, h.seq) NOT IN (SELECT * FROM unnest(p_busy_run, p_busy_seq))
            ORDER BY h.attempt, h.due_at LIMIT 1 FOR UPDATE OF r SKIP LOCKED
        ) q;
        v_suspects := coalesce(cardinality(v_more_run), 0);
        v_run := v_run || v_more_run;
        v_seq := v_seq || v_more_seq;
    END IF;
    SELECT array_agg(q.run_id), array_agg(q.seq) INTO v_more_run, v_more_seq FROM (
        SELECT h.run_id, h.seq FROM hops h JOIN runs r ON r.run_id = h.run_id
        WHERE h.agent = p_agent AND h.due_at <= v_now
        AND (h.status = 'running' OR (h.status = 'pending' AND h.awaits_poll))
        AND NOT (h.status = 'running' AND h.attempt >= p_suspect_from)
        AND (h.run_id, h.seq) NOT IN (SELECT * FROM unnest(p_busy_run, p_busy_seq))
        ORDER BY h.due_at LIMIT p_limit - v_suspects FOR UPDATE OF r SKIP LOCKED
    ) q;
    v_run := v_run || v_more_run;
    v_seq := v_seq || v_more_seq;
    IF v_missed IS NOT NULL AND cardinality(v_run) < p_limit THEN
        SELECT array_agg(q.run_id), array_agg(q.seq) INTO v_more_run, v_more_seq FROM (
            SELECT h.run_id, h.seq FROM hops h JOIN runs r ON r.run_id = h.run_id
            WHERE h.agent = p_agent AND h.status = 'pending' AND NOT h.awaits_poll AND h.due_at <= v_now
            AND (h.pending_since < p_missed_before OR h.pending_since <= v_now - p_overdue_s)
            AND h.due_at <= v_missed
            AND (h.run_id, h.seq) NOT IN (SELECT * FROM unnest(p_busy_run, p_busy_seq))
            ORDER BY h.due_at LIMIT p_limit - cardinality(v_run) FOR UPDATE OF r SKIP LOCKED
        ) q;
        v_run := v_run || v_more_run;
        v_seq := v_seq || v_more_seq;
    END IF;
    IF cardinality(v_run) = 0 THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT v_run[c.item], v_seq[c.item], c.item <= v_suspects, c.*
    FROM claim_hops(
        v_run, v_seq, array_fill(p_agent, ARRAY[cardinality(v_run)]),
        ARRAY(
            SELECT p_claim || CASE WHEN i <= v_suspects THEN ':s:' ELSE ':h:' END || v_run[i] || ':' || v_seq[i]
            FROM generate_series(1, cardinality(v_run)) AS w (i) ORDER BY i
        ),
        array_fill(p_owner, ARRAY[cardinality(v_run)]), array_fill(p_lease_s, ARRAY[cardinality(v_run)]),
        array_fill(p_max, ARRAY[cardinality(v_run)]), array_fill(2147483647, ARRAY[cardinality(v_run)]), NULL
    ) AS c ORDER BY c.item;
END $$;

-- Prolongs leases that still hold; returns them, and whether their run has to stop.
CREATE FUNCTION renew_leases(p_run text[], p_seq int[], p_token int[], p_lease_s float8[])
RETURNS TABLE (item int, has_to_stop boolean) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM generate_series(1, cardinality(p_run)) AS s (i)
    CROSS JOIN LATERAL (
        SELECT 1 FROM hops q WHERE q.run_id = p_run[i] AND q.seq = p_seq[i] OFFSET 0 FOR UPDATE
    ) h;
    RETURN QUERY
    WITH w AS MATERIALIZED (
        SELECT s.i, r.stop FROM generate_series(1, cardinality(p_run)) AS s (i)
        CROSS JOIN LATERAL (SELECT q.ended_at, q.stop FROM runs q WHERE q.run_id = p_run[i] OFFSET 0) r
        WHERE r.ended_at IS NULL
    )
    UPDATE hops AS h SET due_at = clock() + p_lease_s[i]
    FROM w WHERE h.run_id = p_run[i] AND h.seq = p_seq[i] AND h.token = p_token[i] AND (h.status = 'running') IS TRUE
    RETURNING w.i, w.stop IS NOT NULL;
END $$;

-- Records steps, each once, of hops whose lease holds and whose run is neither over nor to stop; returns which.
CREATE FUNCTION record_steps(
    p_run text[], p_hop int[], p_token int[], p_scope text[], p_key text[], p_status text[], p_seq int[],
    p_attempt int[], p_effect text[], p_input_sha text[], p_idempotency_key text[], p_result bytea[],
    p_started_at float8[], p_ended_at float8[]
) RETURNS TABLE (item int) LANGUAGE plpgsql AS $$
DECLARE
    v_now float8;
BEGIN
    PERFORM 1 FROM generate_series(1, cardinality(p_run)) AS s (i)
    CROSS JOIN LATERAL (
        SELECT 1 FROM hops q WHERE q.run_id = p_run[i] AND q.seq = p_hop[i] OFFSET 0 FOR UPDATE
    ) h;
    v_now := clock();
    RETURN QUERY
    WITH mine AS MATERIALIZED (
        SELECT s.i FROM generate_series(1, cardinality(p_run)) AS s (i)
        CROSS JOIN LATERAL (SELECT q.ended_at, q.stop FROM runs q WHERE q.run_id = p_run[i] OFFSET 0) r
        CROSS JOIN LATERAL (
            SELECT q.token, q.status FROM hops q WHERE q.run_id = p_run[i] AND q.seq = p_hop[i] OFFSET 0
        ) h
        WHERE h.token = p_token[i] AND h.status = 'running' AND r.ended_at IS NULL AND r.stop IS NULL
    ),
    put AS (
        INSERT INTO steps AS s (run_id, scope, key, status, seq, attempt, token, effect, input_sha, idempotency_key,
            result, started_at, ended_at)
        SELECT p_run[i], p_scope[i], p_key[i], p_status[i], p_seq[i], p_attempt[i], p_token[i], p_effect[i],
            p_input_sha[i], p_idempotency_key[i], p_result[i], coalesce(p_started_at[i], v_now),
            CASE WHEN p_status[i] = 'intent' THEN p_ended_at[i] ELSE coalesce(p_ended_at[i], v_now) END
        FROM mine
        ON CONFLICT (run_id, scope, key) DO UPDATE
        SET status = excluded.status, attempt = excluded.attempt, token = excluded.token, result = excluded.result,
            ended_at = excluded.ended_at
        WHERE s.status = 'intent'
    )
    SELECT m.i FROM mine m;
END $$;

-- Ends attempts: the hop, what it said, and the next hop or the end of the run; returns what was written. Slow, and
-- not touched: a lease that was lost, a run that has to stop, or one whose conversation another run waits for.
-- `p_talks[i]` says that the item changes its conversation; `p_events[i]` and `p_messages[i]` are the number of the
-- item's events and messages, whose columns follow each other in the arrays `e_*` and `m_*`, after
-- those of the items before it (`p_event_from`, `p_message_from`).
CREATE FUNCTION finish_hops(
    p_run text[], p_seq int[], p_token int[], p_status text[], p_attempts int[], p_outcome bytea[], p_error bytea[],
    p_retry_s float8[], p_talks boolean[], p_facts bytea[], p_active text[],
    p_next_seq int[], p_next_agent text[], p_next_from text[], p_next_kind text[], p_next_head bytea[],
    p_next_digest text[],
    p_end text[], p_end_agent text[], p_end_result bytea[], p_end_error bytea[], p_end_id text[],
    p_event_from int[], p_events int[], p_message_from int[], p_messages int[],
    e_seq int[], e_type text[], e_data bytea[], m_role text[], m_name text[], m_text text[], m_data bytea[]
) RETURNS TABLE (item int, tenant text, traceparent text, tracestate text) LANGUAGE plpgsql AS $$
DECLARE
    v_now float8;
BEGIN
    PERFORM 1 FROM generate_series(1, cardinality(p_run)) AS s (i)
    CROSS JOIN LATERAL (SELECT q.tenant, q.conversation_id FROM runs q WHERE q.run_id = p_run[i] OFFSET 0) r
    JOIN conversations c ON c.tenant = r.tenant AND c.conversation_id = r.conversation_id
    WHERE p_talks[i] ORDER BY c.tenant, c.conversation_id FOR UPDATE OF c;
    PERFORM 1 FROM runs r WHERE r.run_id = ANY (p_run) ORDER BY r.run_id FOR UPDATE;
    -- What is locked stays in its place, and can be found by that (ctid).
    v_now := clock();
    RETURN QUERY
    WITH w AS MATERIALIZED (
        SELECT s.i, r.ctid AS run_at, c.ctid AS conversation_at, r.tenant, r.conversation_id, r.last_event,
            c.log_length, r.traceparent, r.tracestate
        FROM generate_series(1, cardinality(p_run)) AS s (i)
        CROSS JOIN LATERAL (
            SELECT q.ctid, q.run_id, q.tenant, q.conversation_id, q.last_event, q.traceparent, q.tracestate,
                q.ended_at, q.stop
            FROM runs q WHERE q.run_id = p_run[i] OFFSET 0
        ) r
        CROSS JOIN LATERAL (
            SELECT q.token, q.status FROM hops q WHERE q.run_id = p_run[i] AND q.seq = p_seq[i] OFFSET 0
        ) h
        CROSS JOIN LATERAL (
            SELECT q.ctid, q.log_length, q.holder_run, q.next_position FROM conversations q
            WHERE q.tenant = r.tenant AND q.conversation_id = r.conversation_id OFFSET 0
        ) c
        WHERE h.token = p_token[i] AND h.status = 'running' AND c.holder_run = r.run_id
        AND r.ended_at IS NULL AND (r.stop IS NULL OR p_end[i] IS NOT NULL)
        AND CASE WHEN p_end[i] IS NULL OR c.next_position = 1 THEN true
            ELSE first_blocked(r.tenant, r.conversation_id) IS NULL END
    ),
    closed AS (
        UPDATE hops AS h
        SET status = p_status[i], attempt = h.attempt - p_attempts[i], outcome = p_outcome[i],
            error = coalesce(p_error[i], h.error), due_at = v_now + p_retry_s[i],
            ended_at = CASE WHEN p_status[i] <> 'pending' THEN v_now END, awaits_poll = p_status[i] = 'pending',
            pending_since = CASE WHEN p_status[i] = 'pending' THEN v_now ELSE h.pending_since END
        FROM w WHERE h.run_id = p_run[i] AND h.seq = p_seq[i]
    ),
    following AS (
        INSERT INTO hops (run_id, seq, agent, from_agent, kind, status, due_at, pending_since, head, digest)
        SELECT p_run[i], p_next_seq[i], p_next_agent[i], p_next_from[i], p_next_kind[i], 'pending', v_now, v_now,
            p_next_head[i], p_next_digest[i]
        FROM w WHERE p_next_seq[i] IS NOT NULL
    ),
    moved AS (
        UPDATE runs AS r
        SET last_event = r.last_event + p_events[i], status = coalesce(p_end[i], r.status),
            agent = coalesce(p_end_agent[i], p_next_agent[i], r.agent), result = coalesce(p_end_result[i], r.result),
            error = coalesce(p_end_error[i], r.error), ended_at = CASE WHEN p_end[i] IS NOT NULL THEN v_now END
        FROM w WHERE r.ctid = w.run_at
    ),
    talked AS (
        UPDATE conversations AS c
        SET facts = coalesce(p_facts[i], c.facts), log_length = c.log_length + p_messages[i],
            active_agent = CASE WHEN p_active[i] IS NULL THEN c.active_agent ELSE nullif(p_active[i], '') END,
            active_at = CASE WHEN p_active[i] IS NULL THEN c.active_at ELSE v_now END,
            holder_run = CASE WHEN p_end[i] IS NULL THEN c.holder_run END
        FROM w WHERE c.ctid = w.conversation_at AND p_talks[i]
    ),
    told AS (
        INSERT INTO events
        SELECT p_run[i], w.last_event + k, v_now, e_seq[p_event_from[i] + k], e_type[p_event_from[i] + k],
            e_data[p_event_from[i] + k]
        FROM w, generate_series(1, p_events[w.i]) AS n (k)
    ),
    said AS (
        INSERT INTO messages
        SELECT w.tenant, w.conversation_id, w.log_length + k - 1, p_run[i], p_seq[i], m_role[p_message_from[i] + k],
            m_name[p_message_from[i] + k], m_text[p_message_from[i] + k], m_data[p_message_from[i] + k], v_now
        FROM w, generate_series(1, p_messages[w.i]) AS n (k)
    ),
    due AS (
        INSERT INTO deliveries (delivery_id, run_id, reply_to, correlation_id, due_at)
        SELECT p_end_id[i] || ':' || a.reply_to || ':' || a.correlation_id, a.run_id, a.reply_to, a.correlation_id,
            v_now
        FROM w JOIN addresses a ON a.run_id = p_run[i] WHERE p_end[i] IS NOT NULL
        ON CONFLICT DO NOTHING
    )
    SELECT w.i, w.tenant, w.traceparent, w.tracestate FROM w;
END $$;
