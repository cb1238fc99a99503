-- The queue's four moves as functions, one round trip each. All lock lanes first, in key order.

-- Locks the named lanes in key order, making those that are missing.
CREATE FUNCTION yakin.lock_lanes(p_queues text[], p_tenants bigint[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
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

-- A cap that is set counts what runs. (Only lanes with a cap keep that count: a row that changes with each job grows
-- a chain of versions that an old snapshot keeps, and every look at the lane walks it.)
CREATE FUNCTION yakin.count_running() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    NEW.running := (SELECT count(*) FROM yakin.jobs j
                     WHERE j.queue = NEW.queue AND j.tenant_id = NEW.tenant_id AND j.state = 'running');
    RETURN NEW;
END $$;
CREATE TRIGGER count_running BEFORE INSERT OR UPDATE OF cap ON yakin.lanes
    FOR EACH ROW WHEN (NEW.cap IS NOT NULL) EXECUTE FUNCTION yakin.count_running();

-- Points the lanes of newly ready jobs at their first one. An idle lane enters at the present turn: it has no claim
-- on the time in which it had nothing to do. The lanes are locked by the caller.
CREATE FUNCTION yakin.wake_lanes(p_ids bigint[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    UPDATE yakin.lanes l
       SET turn = CASE WHEN l.next_id IS NULL THEN greatest(l.turn, present.turn) ELSE l.turn END,
           next_priority = first.priority, next_id = first.id
      FROM (SELECT DISTINCT ON (j.queue, j.tenant_id) j.queue, j.tenant_id, j.priority, j.id
              FROM yakin.jobs j
             WHERE j.id = ANY (p_ids) AND j.state = 'ready'
             ORDER BY j.queue, j.tenant_id, j.priority, j.id) AS first
      LEFT JOIN (SELECT queue, min(turn) AS turn FROM yakin.lanes WHERE next_id IS NOT NULL GROUP BY queue) AS present
        USING (queue)
     WHERE (l.queue, l.tenant_id) = (first.queue, first.tenant_id)
       AND (l.next_id IS NULL OR (first.priority, first.id) < (l.next_priority, l.next_id));
END $$;

-- Inserts jobs (a JSON array of objects named like the columns); a job whose unique key already waits or runs is
-- left out. Returns the ids inserted. Notifies once per queue.
CREATE FUNCTION yakin.enqueue(p_jobs jsonb, p_now timestamptz) RETURNS bigint[]
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    ids bigint[];
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
        RETURNING id
    )
    SELECT coalesce(array_agg(id), '{}') INTO ids FROM inserted;
    PERFORM yakin.wake_lanes(ids);
    PERFORM pg_notify('yakin_jobs', queue)
       FROM (SELECT DISTINCT j.queue FROM yakin.jobs j WHERE j.id = ANY (ids) AND j.state = 'ready') AS woken;
    RETURN ids;
END $$;

-- Makes scheduled jobs ready whose time has come; at most p_limit of them.
CREATE FUNCTION yakin.promote(p_now timestamptz, p_limit integer) RETURNS integer
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    due bigint[];
BEGIN
    SELECT array_agg(id) INTO due
      FROM (SELECT id FROM yakin.jobs WHERE state = 'scheduled' AND run_at <= p_now
             ORDER BY run_at, id LIMIT p_limit) AS first;
    IF due IS NULL THEN RETURN 0; END IF;
    PERFORM yakin.lock_lanes(array_agg(queue), array_agg(tenant_id))
       FROM (SELECT DISTINCT queue, tenant_id FROM yakin.jobs WHERE id = ANY (due)) AS lane;
    WITH woken AS (
        UPDATE yakin.jobs SET state = 'ready', real_ready = clock_timestamp()
         WHERE id IN (SELECT id FROM yakin.jobs WHERE id = ANY (due) AND state = 'scheduled' AND run_at <= p_now
                       ORDER BY id FOR UPDATE SKIP LOCKED)
        RETURNING id
    )
    SELECT coalesce(array_agg(id), '{}') INTO due FROM woken;
    PERFORM yakin.wake_lanes(due);
    RETURN cardinality(due);
END $$;

-- Claims up to p_limit ready jobs of the batches this node knows, in fair turns between lanes: each job taken moves
-- its lane's turn on by 1000 / weight, and the lowest turns go first.
CREATE FUNCTION yakin.claim(p_queue text, p_limit integer, p_node bigint, p_batches text[], p_lease_seconds integer)
    RETURNS SETOF yakin.jobs LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    locked bigint[];
    taken bigint[] := '{}';
    lanes_at_most integer := p_limit;
BEGIN
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
            SELECT j.id
              FROM lane CROSS JOIN LATERAL (
                   SELECT j.id, row_number() OVER (ORDER BY j.priority, j.id) AS place FROM (
                       SELECT j.priority, j.id FROM yakin.jobs j
                        WHERE j.queue = p_queue AND j.tenant_id = lane.tenant_id AND j.state = 'ready'
                          AND (j.priority, j.id) >= (lane.next_priority, lane.next_id)
                          AND j.batch_id = ANY (p_batches)
                        ORDER BY j.priority, j.id
                        LIMIT greatest(lane.share, 0)
                          FOR UPDATE SKIP LOCKED) AS j) AS j
             ORDER BY lane.turn + (j.place - 1) * 1000 / lane.weight, lane.tenant_id
             LIMIT p_limit
        ), claimed AS (
            UPDATE yakin.jobs j
               SET state = 'running', attempt = j.attempt + 1, token = j.token + 1, node_id = p_node,
                   lease_until = clock_timestamp() + make_interval(secs => p_lease_seconds),
                   real_claimed = clock_timestamp()
              FROM picked WHERE j.id = picked.id
            RETURNING j.id
        )
        SELECT coalesce(array_agg(id), '{}') INTO taken FROM claimed;
        EXIT WHEN cardinality(taken) > 0 OR lanes_at_most > p_limit;
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
      LEFT JOIN (SELECT j.tenant_id, count(*) AS jobs FROM yakin.jobs j WHERE j.id = ANY (taken) GROUP BY 1) AS served
        USING (tenant_id)
     WHERE l.queue = p_queue AND l.tenant_id = mine.tenant_id
       AND (served.jobs > 0 OR NOT EXISTS (SELECT FROM yakin.jobs j WHERE j.id = l.next_id AND j.state = 'ready'));
    RETURN QUERY SELECT * FROM yakin.jobs j WHERE j.id = ANY (taken) ORDER BY j.priority, j.id;
END $$;

-- Sums two objects of counts.
CREATE FUNCTION yakin.add_counts(a jsonb, b jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE
    RETURN (SELECT coalesce(jsonb_object_agg(key, total), '{}')
              FROM (SELECT key, sum(value::numeric) AS total
                      FROM (SELECT * FROM jsonb_each_text(a) UNION ALL SELECT * FROM jsonb_each_text(b)) AS both_sides
                     GROUP BY key) AS summed);

-- Ends attempts whose fencing token still matches and returns the job ids so settled; the caller's transaction must
-- not commit when one of its own is missing from them. Results are JSON objects:
--   id, token, queue, tenant_id, outcome (done|retry|later|gave_up|blocked|cancelled|lost), cause, error, next_at,
--   tried, deadline; and for the ledger: rows, counts, amount, currency, reused, plan, fingerprint, reports.
CREATE FUNCTION yakin.settle(p_results jsonb, p_now timestamptz) RETURNS bigint[]
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    settled bigint[];
BEGIN
    PERFORM yakin.lock_lanes(array_agg(queue), array_agg(tenant_id))
       FROM (SELECT DISTINCT queue, tenant_id FROM jsonb_to_recordset(p_results) AS r (queue text, tenant_id bigint)) AS lane;
    WITH result AS (
        SELECT * FROM jsonb_to_recordset(p_results) AS r (id bigint, token bigint, outcome text, cause text,
               error text, next_at timestamptz, tried jsonb, rows bigint, counts jsonb, amount numeric,
               currency text, reused boolean, plan jsonb, fingerprint text, reports jsonb,
               cpu_ms bigint, memory_bytes bigint)
    ), gone AS (
        DELETE FROM yakin.jobs j USING result r
         WHERE j.id = r.id AND j.token = r.token AND j.state = 'running' AND r.next_at IS NULL
        RETURNING j.*
    ), again AS (
        UPDATE yakin.jobs j
           SET state = 'scheduled', run_at = r.next_at, lease_until = NULL, tried = r.tried,
               -- a lost worker may wake: its token must never match again
               token = j.token + 1,
               attempt = j.attempt - CASE r.outcome WHEN 'later' THEN 1 ELSE 0 END
          FROM result r
         WHERE j.id = r.id AND j.token = r.token AND j.state = 'running' AND r.next_at IS NOT NULL
        RETURNING j.*
    ), ended AS (
        SELECT * FROM gone UNION ALL SELECT * FROM again
    ), history AS (
        INSERT INTO yakin.job_history (tenant_id, job_id, attempt, token, run_id, batch_id, kind, queue, node_id,
                                       outcome, cause, error, cpu_ms, memory_bytes, real_started)
        SELECT e.tenant_id, e.id, e.attempt, r.token, e.run_id, e.batch_id, e.kind, e.queue, e.node_id,
               r.outcome, r.cause, left(r.error, 4000), r.cpu_ms, r.memory_bytes, e.real_claimed
          FROM ended e JOIN result r USING (id)
    ), dead AS (
        INSERT INTO yakin.dead_letters (tenant_id, job_id, job, batch_id, run_id, kind, cause, error, fingerprint,
                                        attempts, died_at)
        SELECT g.tenant_id, g.id, to_jsonb(g.*), g.batch_id, g.run_id, g.kind, coalesce(r.cause, 'unknown'),
               left(coalesce(r.error, ''), 4000), coalesce(r.fingerprint, ''), g.attempt, p_now
          FROM gone g JOIN result r USING (id)
         WHERE r.outcome = 'gave_up' AND NOT EXISTS (SELECT FROM yakin.runs u WHERE u.id = g.run_id AND u.dry_run)
        ON CONFLICT (job_id) DO NOTHING
    ), ledger AS (
        UPDATE yakin.run_tenants t
           SET state = CASE r.outcome WHEN 'done' THEN 'done' WHEN 'blocked' THEN 'blocked'
                                      WHEN 'cancelled' THEN 'cancelled' WHEN 'gave_up' THEN 'failed'
                                      ELSE t.state END,
               reused = coalesce(r.reused, false),
               attempts = e.attempt,
               duration_ms = (extract(epoch FROM clock_timestamp() - e.real_claimed) * 1000)::bigint,
               rows_written = coalesce(r.rows, 0), counts = coalesce(r.counts, '{}'),
               amount = r.amount, currency = r.currency, reason = left(r.error, 1000), plan = r.plan,
               ended_at = CASE WHEN r.next_at IS NULL THEN p_now END
          FROM ended e JOIN result r USING (id)
         WHERE e.kind = 'tenant' AND (t.run_id, t.tenant_id) = (e.run_id, e.tenant_id)
    ), phase AS (
        UPDATE yakin.runs u
           SET rows_written = u.rows_written + coalesce(r.rows, 0),
               counts = yakin.add_counts(u.counts, coalesce(r.counts, '{}')),
               amount_yen = CASE WHEN r.currency = 'JPY' THEN r.amount ELSE u.amount_yen END,
               reports = u.reports || coalesce(r.reports, '[]'),
               -- a dry run's phases one behind the other, summed when it ends
               plan = CASE WHEN r.plan IS NULL THEN u.plan
                           ELSE coalesce(u.plan, '[]') || jsonb_build_array(r.plan) END
          FROM gone g JOIN result r USING (id)
         WHERE u.id = g.run_id AND g.kind IN ('prepare', 'global', 'finish')
    ), completed AS (
        INSERT INTO yakin.completions (batch_id, period_start, tenant_id, run_id, completed_at)
        SELECT g.batch_id, u.period_start, g.tenant_id, u.id, p_now
          FROM gone g JOIN result r USING (id) JOIN yakin.runs u ON u.id = g.run_id
         WHERE r.outcome = 'done' AND g.kind IN ('tenant', 'global') AND NOT u.dry_run AND u.period_start IS NOT NULL
         ORDER BY g.tenant_id
        ON CONFLICT (batch_id, tenant_id, period_start)
            DO UPDATE SET run_id = excluded.run_id, completed_at = excluded.completed_at
    ), lane AS (
        UPDATE yakin.lanes l SET running = greatest(l.running - e.jobs, 0)
          FROM (SELECT queue, tenant_id, count(*) AS jobs FROM ended GROUP BY 1, 2) AS e
         WHERE (l.queue, l.tenant_id) = (e.queue, e.tenant_id) AND l.cap IS NOT NULL
    )
    SELECT coalesce(array_agg(id), '{}') INTO settled FROM ended;
    RETURN settled;
END $$;

DO $$
DECLARE f regprocedure;
BEGIN
    FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = 'yakin'::regnamespace
              AND proname IN ('lock_lanes', 'wake_lanes', 'enqueue', 'promote', 'claim', 'settle', 'add_counts') LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO yakin_engine', f);
    END LOOP;
END $$;
