-- Claims and ends of attempts with fewer steps: a claim takes its jobs, moves its lanes on and returns in one statement,
-- and the row of an attempt that ends is locked, then changed and told of in one.

-- Claims up to p_limit ready jobs of the batches this node knows, in fair turns between lanes: each job taken moves
-- its lane's turn on by 1000 / weight, and the lowest turns go first. Of many lanes a large claim takes some with several
-- jobs each; the others' turn is next. A paused queue gives none.
CREATE OR REPLACE FUNCTION yakin.claim(p_queue text, p_limit integer, p_node bigint, p_batches text[],
                                       p_lease_seconds integer)
    RETURNS SETOF yakin.jobs LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    locked bigint[];
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
        RETURN QUERY
        WITH lane AS MATERIALIZED (
            SELECT l.*,
                   least(ceil(p_limit * l.weight / sum(l.weight) OVER ()::numeric)::integer,
                         coalesce(l.cap - l.running, p_limit)) AS share
              FROM unnest(locked) AS mine (tenant_id) CROSS JOIN LATERAL (
                   SELECT k.ctid AS place, k.tenant_id, k.next_priority, k.next_id, k.turn, k.weight, k.cap, k.running
                     FROM yakin.lanes k
                    WHERE k.queue = p_queue AND k.tenant_id = mine.tenant_id AND k.next_id IS NOT NULL LIMIT 1) AS l
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
            RETURNING j.*
        ), served AS (
            SELECT tenant_id, count(*) AS jobs, array_agg(id) AS ids FROM claimed GROUP BY tenant_id
        ), moved AS (
            UPDATE yakin.lanes l
               SET running = CASE WHEN l.cap IS NOT NULL THEN l.running + coalesce(served.jobs, 0) ELSE 0 END,
                   turn = l.turn + coalesce(served.jobs, 0) * 1000 / l.weight,
                   (next_priority, next_id) = (
                       SELECT j.priority, j.id FROM yakin.jobs j
                        WHERE j.queue = p_queue AND j.tenant_id = l.tenant_id AND j.state = 'ready'
                          AND (j.priority, j.id) >= (l.next_priority, l.next_id)
                          -- (this statement still sees as ready what it has just claimed)
                          AND (served.ids IS NULL OR j.id <> ALL (served.ids))
                        ORDER BY j.priority, j.id LIMIT 1)
              FROM lane LEFT JOIN served USING (tenant_id)
             WHERE l.ctid = lane.place
               AND (served.jobs > 0 OR NOT EXISTS (
                    SELECT FROM yakin.jobs j WHERE j.id = lane.next_id AND left(j.state, 5) = 'ready' LIMIT 1))
        )
        SELECT * FROM claimed ORDER BY priority, id;
        EXIT WHEN FOUND OR lanes_at_most > p_limit;
        -- The first lanes are locked, or hold only batches that this node does not know: look further, once.
        lanes_at_most := p_limit + 1000;
    END LOOP;
END $$;

-- Ends attempts whose fencing token still matches and returns the job ids so settled; the caller's transaction must
-- not commit when one of its own is missing from them. Results are JSON objects; what is absent says nothing:
--   id, token, queue, tenant_id, outcome (done|retry|later|gave_up|blocked|cancelled|lost), cause, error, next_at (then
--   tried, too); and for the ledger: rows, counts, amount, currency, reused, plan, fingerprint, reports.
CREATE OR REPLACE FUNCTION yakin.settle(p_results jsonb, p_now timestamptz) RETURNS bigint[]
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    settled bigint[];
    found bigint;
BEGIN
    PERFORM yakin.caps_stay(true);
    IF EXISTS (SELECT FROM yakin.lanes WHERE cap IS NOT NULL) THEN -- (few installations have one)
        PERFORM FROM yakin.lanes l
          WHERE l.cap IS NOT NULL
            AND (l.queue, l.tenant_id) IN (SELECT * FROM jsonb_to_recordset(p_results) AS r (queue text, tenant_id bigint))
          ORDER BY l.queue, l.tenant_id
            FOR UPDATE;
    END IF;
    -- Each job's row first, in key order. The next statement's snapshot then sees them as they are now (a heartbeat may
    -- just have written one), and nobody changes them before we commit: a row changed by its place (ctid) must still be
    -- there, or it is passed over.
    PERFORM FROM (SELECT id, token FROM jsonb_to_recordset(p_results) AS r (id bigint, token bigint) ORDER BY id) AS r
      CROSS JOIN LATERAL (
            -- (a running job has a lease; said so that only the key can find the row)
            SELECT FROM yakin.jobs j WHERE j.id = r.id AND j.token = r.token AND j.lease_until IS NOT NULL
             LIMIT 1 FOR UPDATE) AS j;
    WITH result AS MATERIALIZED (
        SELECT r.*, j.place
          FROM (SELECT * FROM jsonb_to_recordset(p_results) AS r (id bigint, token bigint, outcome text, cause text,
               error text, next_at timestamptz, tried jsonb, rows bigint, counts jsonb, amount numeric,
               currency text, reused boolean, plan jsonb, fingerprint text, reports jsonb,
               cpu_ms bigint, memory_bytes bigint) ORDER BY id) AS r
         CROSS JOIN LATERAL (
               SELECT j.ctid AS place FROM yakin.jobs j
                WHERE j.id = r.id AND j.token = r.token AND j.lease_until IS NOT NULL
                LIMIT 1) AS j
    ), gone AS (
        DELETE FROM yakin.jobs j USING result r
         WHERE j.ctid = r.place AND j.token = r.token AND r.next_at IS NULL
        RETURNING r.*, j.queue, j.tenant_id, j.run_id, j.batch_id, j.kind, j.attempt, j.node_id, j.real_claimed,
                  CASE r.outcome WHEN 'gave_up' THEN to_jsonb(j) END AS job
    ), again AS (
        UPDATE yakin.jobs j
           SET state = 'scheduled', run_at = r.next_at, lease_until = NULL, tried = r.tried,
               -- a lost worker may wake: its token must never match again
               token = j.token + 1,
               attempt = j.attempt - CASE r.outcome WHEN 'later' THEN 1 ELSE 0 END
          FROM result r
         WHERE j.ctid = r.place AND j.token = r.token AND r.next_at IS NOT NULL
        RETURNING r.*, j.queue, j.tenant_id, j.run_id, j.batch_id, j.kind,
                  j.attempt + CASE r.outcome WHEN 'later' THEN 1 ELSE 0 END, j.node_id, j.real_claimed, NULL::jsonb
    ), ended AS MATERIALIZED (
        SELECT * FROM gone UNION ALL SELECT * FROM again
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
    SELECT coalesce(array_agg(id), '{}'), (SELECT count(*) FROM result) INTO settled, found FROM ended;
    IF cardinality(settled) <> found THEN
        RAISE EXCEPTION '% jobs were to end, % did', found, cardinality(settled);
    END IF;
    RETURN settled;
END $$;

DO $$
DECLARE f regprocedure;
BEGIN
    -- Replacing a function forgets its settings: see 0008 and 0009.
    FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = 'yakin'::regnamespace AND proname IN ('claim', 'settle') LOOP
        EXECUTE format('ALTER FUNCTION %s SET enable_seqscan = off', f);
        EXECUTE format('ALTER FUNCTION %s SET jit = off', f);
        EXECUTE format('ALTER FUNCTION %s SET plan_cache_mode = force_generic_plan', f);
    END LOOP;
END $$;
