-- The runs of a month by their "now", with how each tenant's piece ended; a run without tenants is one row. Bounds are
-- Tokyo days, times Tokyo's.
SELECT r.id::text, r.batch_id, b.title, r.trigger, r.rerun_of::text, r.period_start::text, (r.period_end - 1)::text,
       r.dry_run::text, r.requested_by, r.approved_by,
       to_char(r.run_at AT TIME ZONE 'Asia/Tokyo', 'YYYY-MM-DD"T"HH24:MI:SS"+09:00"'),
       to_char(r.ended_at AT TIME ZONE 'Asia/Tokyo', 'YYYY-MM-DD"T"HH24:MI:SS"+09:00"'),
       r.state, r.outcome, r.reason, r.rows_written::text, r.amount_yen::text, t.tenant_id::text, t.state, t.reused::text,
       t.attempts::text, t.rows_written::text, t.amount::text, t.currency, t.reason, t.released_by,
       to_char(t.ended_at AT TIME ZONE 'Asia/Tokyo', 'YYYY-MM-DD"T"HH24:MI:SS"+09:00"')
  FROM yakin.runs r
  JOIN yakin.batches b ON b.id = r.batch_id
  LEFT JOIN yakin.run_tenants t ON t.run_id = r.id
 WHERE r.run_at >= $1::date::timestamp AT TIME ZONE 'Asia/Tokyo' AND r.run_at < $2::date::timestamp AT TIME ZONE 'Asia/Tokyo'
 ORDER BY r.id, t.tenant_id
