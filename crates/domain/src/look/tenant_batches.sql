-- Of each batch the tenant's last ended piece; as the engine, whose tables these are.
SELECT b.id AS batch_id, b.title, ended.run_id, ended.period_start, ended.period_end, ended.state, ended.reused,
       ended.attempts, ended.rows_written, ended.amount, ended.currency, ended.reason, ended.ended_at
  FROM yakin.batches b
 CROSS JOIN LATERAL (
       SELECT t.run_id, r.period_start, r.period_end, t.state, t.reused, t.attempts, t.rows_written, t.amount, t.currency,
              t.reason, t.ended_at
         FROM yakin.runs r
         JOIN yakin.run_tenants t ON t.run_id = r.id
        WHERE r.batch_id = b.id AND t.tenant_id = $1 AND t.state <> 'waiting' AND NOT r.dry_run
        ORDER BY r.id DESC
        LIMIT 1) ended
 ORDER BY b.id
 LIMIT 500
