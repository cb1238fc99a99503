WITH tenant AS (
    SELECT count(*) AS total, count(*) FILTER (WHERE state = 'done') AS done,
           count(*) FILTER (WHERE state = 'blocked') AS blocked,
           count(*) FILTER (WHERE state IN ('failed', 'waiting')) AS failed,
           count(*) FILTER (WHERE state = 'cancelled') AS cancelled,
           coalesce(sum(rows_written), 0) AS rows_written,
           sum(amount) FILTER (WHERE currency = 'JPY') AS amount_yen
      FROM yakin.run_tenants WHERE run_id = $1
), missing AS (
    -- what a phase said that it could not do
    SELECT string_agg(left(report ->> 'message', 500), '; ' ORDER BY n) AS message
      FROM yakin.runs, jsonb_array_elements(reports) WITH ORDINALITY AS each_report (report, n)
     WHERE id = $1 AND (report ->> 'short')::boolean
), counted AS (
    SELECT coalesce(jsonb_object_agg(key, total), '{}') AS counts
      FROM (SELECT key, sum(value::numeric) AS total FROM (
                SELECT c.key, c.value FROM yakin.run_tenants t, jsonb_each_text(t.counts) AS c WHERE t.run_id = $1
                UNION ALL
                SELECT c.key, c.value FROM yakin.runs r, jsonb_each_text(r.counts) AS c WHERE r.id = $1) AS each_count
             GROUP BY key) AS summed
), ended AS (
    UPDATE yakin.runs r
       SET state = 'ended', waiting_for = NULL, ended_at = $4, real_ended = clock_timestamp(),
           outcome = coalesce($2, CASE
               WHEN tenant.cancelled > 0 THEN 'cancelled'
               WHEN tenant.total > 0 AND tenant.done = 0 THEN 'failed'
               WHEN tenant.done < tenant.total OR $3::text IS NOT NULL OR missing.message IS NOT NULL THEN 'partial'
               ELSE 'succeeded' END),
           reason = coalesce($3, missing.message, CASE
               WHEN tenant.done < tenant.total
               THEN (SELECT format('%s tenants not done; first: %s', count(*), min(t.reason))
                       FROM yakin.run_tenants t WHERE t.run_id = $1 AND t.state <> 'done') END),
           tenants_total = tenant.total, tenants_done = tenant.done, tenants_blocked = tenant.blocked,
           tenants_failed = tenant.failed, rows_written = r.rows_written + tenant.rows_written,
           amount_yen = coalesce(tenant.amount_yen, r.amount_yen), counts = counted.counts,
           plan = coalesce($6, r.plan), plan_hash = $5
      FROM tenant, counted, missing
     WHERE r.id = $1 AND r.state <> 'ended'
    RETURNING r.id, r.outcome, r.reason
), firing AS (
    UPDATE yakin.firings f SET state = 'ended', outcome = e.outcome, reason = e.reason, ended_at = $4
      FROM ended e WHERE f.run_id = e.id
)
DELETE FROM yakin.locks l USING ended e WHERE l.run_id = e.id
