-- Claims and completions at pace. Rows that a statement has found and locked are changed by their place (ctid), so that
-- no plan, made when the tables looked otherwise, can read more than them. Completions leave lanes without a cap
-- alone, so that claims need not wait for them.

-- Nobody asks for a job's history by its id alone.
DROP INDEX yakin.job_history_job;

-- One at a time: setting a cap (alone) and whoever ends attempts (shared), so that each sees whether to count.
CREATE FUNCTION yakin.caps_stay(p_shared boolean) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF p_shared THEN
        PERFORM pg_advisory_xact_lock_shared(hashtextextended('yakin.lanes.cap', 0));
    ELSE
        PERFORM pg_advisory_xact_lock(hashtextextended('yakin.lanes.cap', 0));
    END IF;
END $$;

-- Locks the named lanes in key order, making those that are missing.
CREATE OR REPLACE FUNCTION yakin.lock_lanes(p_queues text[], p_tenants bigint[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    -- before any lane, here as in settle: whoever sets a cap takes the two in this order
    PERFORM yakin.caps_stay(true);
    INSERT INTO yakin.lanes (queue, tenant_id, weight)
    SELECT DISTINCT wanted.queue, wanted.tenant_id, 1
      FROM unnest(p_queues, p_tenants) AS wanted (queue, tenant_id)
     WHERE NOT EXISTS (SELECT FROM yakin.lanes l WHERE (l.queue, l.tenant_id) = (wanted.queue, wanted.tenant_id))
     ORDER BY 1, 2
    ON CONFLICT DO NOTHING;
    PERFORM FROM yakin.lanes l
      WHERE (l.queue, l.tenant_id) IN (SELECT * FROM unnest(p_queues, p_tenants))
      ORDER BY l.queue, l.tenant_id
        FOR UPDATE;
END $$;

-- Points the lanes of newly ready jobs at their first one. An idle lane enters at the present turn: it has no claim
-- on the time in which it had nothing to do. The lanes are locked by the caller.
CREATE OR REPLACE FUNCTION yakin.wake_lanes(p_ids bigint[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    UPDATE yakin.lanes l
       SET turn = CASE WHEN l.next_id IS NULL THEN greatest(l.turn, present.turn) ELSE l.turn END,
           next_priority = first.priority, next_id = first.id
      FROM (SELECT DISTINCT ON (j.queue, j.tenant_id) j.queue, j.tenant_id, j.priority, j.id
              FROM unnest(p_ids) AS woken (id) CROSS JOIN LATERAL (
                   SELECT k.queue, k.tenant_id, k.priority, k.id FROM yakin.jobs k
                    -- (said so that only the key can find the row, no index of ready jobs)
                    WHERE k.id = woken.id AND left(k.state, 5) = 'ready' LIMIT 1) AS j
             ORDER BY j.queue, j.tenant_id, j.priority, j.id) AS first
      LEFT JOIN (SELECT queue, min(turn) AS turn FROM yakin.lanes WHERE next_id IS NOT NULL GROUP BY queue) AS present
        USING (queue)
     WHERE (l.queue, l.tenant_id) = (first.queue, first.tenant_id)
       AND (l.next_id IS NULL OR (first.priority, first.id) < (l.next_priority, l.next_id));
END $$;

-- Inserts jobs (a JSON array of objects named like the columns); a job whose unique key already waits or runs is
-- left out. Returns the ids inserted. Notifies once per queue.
CREATE OR REPLACE FUNCTION yakin.enqueue(p_jobs jsonb, p_now timestamptz) RETURNS bigint[]
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    ids bigint[];
    ready bigint[];
    woken text[];
BEGIN
    PERFORM yakin.lock_lanes(array_agg(queue), array_agg(tenant_id))
       FROM (SELECT DISTINCT queue, tenant_id FROM jsonb_to_recordset(p_jobs) AS j (queue text, tenant_id bigint)) AS lane;
    WITH inserted AS (
        INSERT INTO yakin.jobs (queue, tenant_id, state, priority, run_id, batch_id, kind, payload, unique_key,
                                run_at, deadline_at)
        SELECT j.queue, j.tenant_id, CASE WHEN j.run_at <= p_now THEN 'ready' ELSE 'scheduled' END, j.priority,
               j.run_id, j.batch_id, j.kind, coalesce(j.payload, '{}'), j.unique_key, j.run_at, j.deadline_at
          FROM jsonb_to_recordset(p_jobs) AS j (queue text, tenant_id bigint, priority smallint, run_id bigint,
               batch_id text, kind text, payload jsonb, unique_key text, run_at timestamptz, deadline_at timestamptz)
        ON CONFLICT DO NOTHING
        RETURNING id, queue, state
    )
    SELECT coalesce(array_agg(id), '{}'), coalesce(array_agg(id) FILTER (WHERE state = 'ready'), '{}'),
           array_agg(DISTINCT queue) FILTER (WHERE state = 'ready')
      INTO ids, ready, woken FROM inserted;
    PERFORM yakin.wake_lanes(ready);
    PERFORM pg_notify('yakin_jobs', queue) FROM unnest(woken) AS queue;
    RETURN ids;
END $$;

-- Makes scheduled jobs ready whose time has come; at most p_limit of them. Notifies once per queue.
CREATE OR REPLACE FUNCTION yakin.promote(p_now timestamptz, p_limit integer) RETURNS integer
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    due bigint[];
    queues text[];
    tenants bigint[];
BEGIN
    SELECT array_agg(id), array_agg(queue), array_agg(tenant_id) INTO due, queues, tenants
      FROM (SELECT id, queue, tenant_id FROM yakin.jobs WHERE state = 'scheduled' AND run_at <= p_now
             ORDER BY run_at, id LIMIT p_limit) AS first;
    IF due IS NULL THEN RETURN 0; END IF;
    PERFORM yakin.lock_lanes(array_agg(queue), array_agg(tenant_id))
       FROM (SELECT DISTINCT * FROM unnest(queues, tenants) AS l (queue, tenant_id)) AS lane;
    WITH found AS (
        SELECT j.place FROM unnest(due) AS due (id) CROSS JOIN LATERAL (
               SELECT k.ctid AS place FROM yakin.jobs k
                WHERE k.id = due.id AND left(k.state, 9) = 'scheduled' AND k.run_at <= p_now
                LIMIT 1 FOR UPDATE SKIP LOCKED) AS j
    ), woken AS (
        UPDATE yakin.jobs SET state = 'ready', real_ready = clock_timestamp()
         WHERE ctid = ANY (ARRAY(SELECT place FROM found))
        RETURNING id, queue
    )
    SELECT coalesce(array_agg(id), '{}'), array_agg(DISTINCT queue) INTO due, queues FROM woken;
    PERFORM yakin.wake_lanes(due);
    PERFORM pg_notify('yakin_jobs', queue) FROM unnest(queues) AS queue;
    RETURN cardinality(due);
END $$;

-- Claims up to p_limit ready jobs of the batches this node knows, in fair turns between lanes: each job taken moves
-- its lane's turn on by 1000 / weight, and the lowest turns go first. Of many lanes a large claim takes some with several
-- jobs each; the others' turn is next. A paused queue gives none.
CREATE OR REPLACE FUNCTION yakin.claim(p_queue text, p_limit integer, p_node bigint, p_batches text[],
                                       p_lease_seconds integer)
    RETURNS SETOF yakin.jobs LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    locked bigint[];
    taken yakin.jobs[];
    lanes_at_most integer := least(p_limit, greatest(16, p_limit / 8));
BEGIN
    PERFORM FROM yakin.queues q, yakin.control c WHERE q.name = p_queue AND (q.paused OR c.stopped);
    IF FOUND THEN RETURN; END IF;
    LOOP
        locked := ARRAY(
            SELECT l.tenant_id
              FROM yakin.lanes l
             WHERE l.queue = p_queue AND l.tenant_id IN (
                   SELECT c.tenant_id FROM yakin.lanes c
                    WHERE c.queue = p_queue AND c.next_id IS NOT NULL AND (c.cap IS NULL OR c.running < c.cap)
                    ORDER BY c.turn, c.tenant_id LIMIT lanes_at_most)
             ORDER BY l.tenant_id
               FOR UPDATE SKIP LOCKED);
        -- A new statement, so a new snapshot: it sees every job whose insert held one of these lanes before us.
        WITH lane AS (
            SELECT l.tenant_id, l.next_priority, l.next_id, l.turn, l.weight,
                   least(ceil(p_limit * l.weight / sum(l.weight) OVER ()::numeric)::integer,
                         coalesce(l.cap - l.running, p_limit)) AS share
              FROM yakin.lanes l
             WHERE l.queue = p_queue AND l.tenant_id = ANY (locked) AND l.next_id IS NOT NULL
        ), picked AS (
            SELECT j.place
              FROM lane CROSS JOIN LATERAL (
                   SELECT j.place, row_number() OVER (ORDER BY j.priority, j.id) AS turn FROM (
                       SELECT j.priority, j.id, j.ctid AS place FROM yakin.jobs j
                        WHERE j.queue = p_queue AND j.tenant_id = lane.tenant_id AND j.state = 'ready'
                          AND (j.priority, j.id) >= (lane.next_priority, lane.next_id)
                          AND j.batch_id = ANY (p_batches)
                        ORDER BY j.priority, j.id
                        LIMIT greatest(lane.share, 0)
                          FOR UPDATE SKIP LOCKED) AS j) AS j
             ORDER BY lane.turn + (j.turn - 1) * 1000 / lane.weight, lane.tenant_id
             LIMIT p_limit
        ), claimed AS (
            UPDATE yakin.jobs j
               SET state = 'running', attempt = j.attempt + 1, token = j.token + 1, node_id = p_node,
                   lease_until = clock_timestamp() + make_interval(secs => p_lease_seconds),
                   real_claimed = clock_timestamp()
             WHERE j.ctid = ANY (ARRAY(SELECT place FROM picked))
            RETURNING j
        )
        SELECT array_agg(j ORDER BY (j).priority, (j).id) INTO taken FROM claimed;
        EXIT WHEN taken IS NOT NULL OR lanes_at_most > p_limit;
        -- The first lanes are locked, or hold only batches that this node does not know: look further, once.
        lanes_at_most := p_limit + 1000;
    END LOOP;
    UPDATE yakin.lanes l
       SET running = CASE WHEN l.cap IS NOT NULL THEN l.running + coalesce(served.jobs, 0) ELSE 0 END,
           turn = l.turn + coalesce(served.jobs, 0) * 1000 / l.weight,
           (next_priority, next_id) = (
               SELECT j.priority, j.id FROM yakin.jobs j
                WHERE j.queue = p_queue AND j.tenant_id = l.tenant_id AND j.state = 'ready'
                  AND (j.priority, j.id) >= (l.next_priority, l.next_id)
                ORDER BY j.priority, j.id LIMIT 1)
      FROM unnest(locked) AS mine (tenant_id)
      LEFT JOIN (SELECT j.tenant_id, count(*) AS jobs FROM unnest(taken) AS j GROUP BY 1) AS served USING (tenant_id)
     WHERE l.queue = p_queue AND l.tenant_id = mine.tenant_id
       AND (served.jobs > 0 OR NOT EXISTS (SELECT FROM yakin.jobs j WHERE j.id = l.next_id AND j.state = 'ready'));
    RETURN QUERY SELECT * FROM unnest(taken);
END $$;

-- Ends attempts whose fencing token still matches and returns the job ids so settled; the caller's transaction must
-- not commit when one of its own is missing from them. Results are JSON objects:
--   id, token, queue, tenant_id, outcome (done|retry|later|gave_up|blocked|cancelled|lost), cause, error, next_at,
--   tried, deadline; and for the ledger: rows, counts, amount, currency, reused, plan, fingerprint, reports.
CREATE OR REPLACE FUNCTION yakin.settle(p_results jsonb, p_now timestamptz) RETURNS bigint[]
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    settled bigint[];
    found bigint;
BEGIN
    PERFORM yakin.caps_stay(true);
    PERFORM FROM yakin.lanes l
      WHERE l.cap IS NOT NULL
        AND (l.queue, l.tenant_id) IN (SELECT * FROM jsonb_to_recordset(p_results) AS r (queue text, tenant_id bigint))
      ORDER BY l.queue, l.tenant_id
        FOR UPDATE;
    -- Each job's row first, in key order. The next statement's snapshot then sees them as they are now (a heartbeat may
    -- just have written one), and nobody changes them before we commit.
    PERFORM FROM (SELECT id, token FROM jsonb_to_recordset(p_results) AS r (id bigint, token bigint) ORDER BY id) AS r
      CROSS JOIN LATERAL (
            -- (a running job has a lease; said so that only the key can find the row)
            SELECT FROM yakin.jobs j WHERE j.id = r.id AND j.token = r.token AND j.lease_until IS NOT NULL
             LIMIT 1 FOR UPDATE) AS j;
    WITH ended AS MATERIALIZED (
        SELECT r.*, j.*
          FROM jsonb_to_recordset(p_results) AS r (id bigint, token bigint, outcome text, cause text,
               error text, next_at timestamptz, tried jsonb, rows bigint, counts jsonb, amount numeric,
               currency text, reused boolean, plan jsonb, fingerprint text, reports jsonb,
               cpu_ms bigint, memory_bytes bigint)
         CROSS JOIN LATERAL (
               SELECT j.ctid AS place, j.queue, j.tenant_id, j.run_id, j.batch_id, j.kind, j.attempt, j.node_id,
                      j.real_claimed, CASE r.outcome WHEN 'gave_up' THEN to_jsonb(j) END AS job
                 FROM yakin.jobs j
                WHERE j.id = r.id AND j.token = r.token AND j.lease_until IS NOT NULL
                LIMIT 1) AS j
    ), gone AS (
        DELETE FROM yakin.jobs j WHERE j.ctid = ANY (ARRAY(SELECT place FROM ended WHERE next_at IS NULL))
        RETURNING j.id
    ), again AS (
        UPDATE yakin.jobs j
           SET state = 'scheduled', run_at = e.next_at, lease_until = NULL, tried = e.tried,
               -- a lost worker may wake: its token must never match again
               token = j.token + 1,
               attempt = j.attempt - CASE e.outcome WHEN 'later' THEN 1 ELSE 0 END
          FROM ended e
         WHERE j.ctid = ANY (ARRAY(SELECT place FROM ended WHERE next_at IS NOT NULL)) AND e.id = j.id
        RETURNING j.id
    ), history AS (
        INSERT INTO yakin.job_history (tenant_id, job_id, attempt, token, run_id, batch_id, kind, queue, node_id,
                                       outcome, cause, error, cpu_ms, memory_bytes, real_started)
        SELECT tenant_id, id, attempt - CASE WHEN outcome = 'later' THEN 1 ELSE 0 END, token, run_id, batch_id, kind,
               queue, node_id, outcome, cause, left(error, 4000), cpu_ms, memory_bytes, real_claimed
          FROM ended
    ), dead AS (
        INSERT INTO yakin.dead_letters (tenant_id, job_id, job, batch_id, run_id, kind, cause, error, fingerprint,
                                        attempts, died_at)
        SELECT tenant_id, id, job, batch_id, run_id, kind, coalesce(cause, 'unknown'),
               left(coalesce(error, ''), 4000), coalesce(fingerprint, ''), attempt, p_now
          FROM ended e
         WHERE next_at IS NULL AND outcome = 'gave_up'
           AND NOT EXISTS (SELECT FROM yakin.runs u WHERE u.id = e.run_id AND u.dry_run)
        ON CONFLICT (job_id) DO NOTHING
    ), ledger AS (
        UPDATE yakin.run_tenants t
           SET state = CASE e.outcome WHEN 'done' THEN 'done' WHEN 'blocked' THEN 'blocked'
                                      WHEN 'cancelled' THEN 'cancelled' WHEN 'gave_up' THEN 'failed'
                                      ELSE t.state END,
               reused = coalesce(e.reused, false),
               attempts = e.attempt - CASE WHEN e.outcome = 'later' THEN 1 ELSE 0 END,
               duration_ms = (extract(epoch FROM clock_timestamp() - e.real_claimed) * 1000)::bigint,
               rows_written = coalesce(e.rows, 0), counts = coalesce(e.counts, '{}'),
               amount = e.amount, currency = e.currency, reason = left(e.error, 1000), plan = e.plan,
               ended_at = CASE WHEN e.next_at IS NULL THEN p_now END
          FROM ended e
         WHERE e.kind = 'tenant' AND (t.run_id, t.tenant_id) = (e.run_id, e.tenant_id)
    ), phase AS (
        UPDATE yakin.runs u
           SET rows_written = u.rows_written + coalesce(e.rows, 0),
               counts = yakin.add_counts(u.counts, coalesce(e.counts, '{}')),
               amount_yen = CASE WHEN e.currency = 'JPY' THEN e.amount ELSE u.amount_yen END,
               reports = u.reports || coalesce(e.reports, '[]'),
               -- a dry run's phases one behind the other, summed when it ends
               plan = CASE WHEN e.plan IS NULL THEN u.plan
                           ELSE coalesce(u.plan, '[]') || jsonb_build_array(e.plan) END
          FROM ended e
         WHERE e.next_at IS NULL AND u.id = e.run_id AND e.kind IN ('prepare', 'global', 'finish')
    ), completed AS (
        INSERT INTO yakin.completions (batch_id, period_start, tenant_id, run_id, completed_at)
        SELECT e.batch_id, u.period_start, e.tenant_id, u.id, p_now
          FROM ended e JOIN yakin.runs u ON u.id = e.run_id
         WHERE e.next_at IS NULL AND e.outcome = 'done' AND e.kind IN ('tenant', 'global')
           AND NOT u.dry_run AND u.period_start IS NOT NULL
         ORDER BY e.tenant_id
        ON CONFLICT (batch_id, tenant_id, period_start)
            DO UPDATE SET run_id = excluded.run_id, completed_at = excluded.completed_at
    ), lane AS (
        UPDATE yakin.lanes l SET running = greatest(l.running - e.jobs, 0)
          FROM (SELECT queue, tenant_id, count(*) AS jobs FROM ended GROUP BY 1, 2) AS e
         WHERE (l.queue, l.tenant_id) = (e.queue, e.tenant_id) AND l.cap IS NOT NULL
    )
    SELECT coalesce(array_agg(id), '{}'), (SELECT count(*) FROM ended) INTO settled, found
      FROM (SELECT id FROM gone UNION ALL SELECT id FROM again) AS changed;
    IF cardinality(settled) <> found THEN
        RAISE EXCEPTION '% jobs were to end, % did', found, cardinality(settled);
    END IF;
    RETURN settled;
END $$;

DO $$
DECLARE f regprocedure;
BEGIN
    -- Replacing a function forgets its settings. With one plan for all calls, none is spent on planning; the statements
    -- are such that their plan does not hang on what the tables hold.
    FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = 'yakin'::regnamespace
              AND proname IN ('enqueue', 'promote', 'claim', 'settle', 'lock_lanes', 'wake_lanes') LOOP
        EXECUTE format('ALTER FUNCTION %s SET enable_seqscan = off', f);
        EXECUTE format('ALTER FUNCTION %s SET jit = off', f);
        EXECUTE format('ALTER FUNCTION %s SET plan_cache_mode = force_generic_plan', f);
    END LOOP;
END $$;
REVOKE ALL ON FUNCTION yakin.caps_stay FROM PUBLIC;
GRANT EXECUTE ON FUNCTION yakin.caps_stay TO yakin_engine;
