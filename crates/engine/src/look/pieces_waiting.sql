-- Tenants' pieces since $1 that failed or are blocked and that no later run has done.
SELECT t.run_id, r.batch_id, b.title, t.tenant_id, t.state, t.reason, r.period_start
  FROM yakin.run_tenants t
  JOIN yakin.runs r ON r.id = t.run_id
  JOIN yakin.batches b ON b.id = r.batch_id
 WHERE r.run_at >= $1 AND r.state = 'ended' AND NOT r.dry_run AND t.state IN ('failed', 'blocked')
   AND NOT EXISTS (SELECT FROM yakin.run_tenants l JOIN yakin.runs n ON n.id = l.run_id
                    WHERE l.tenant_id = t.tenant_id AND l.run_id > t.run_id AND n.batch_id = r.batch_id
                      AND NOT n.dry_run AND n.period_start IS NOT DISTINCT FROM r.period_start
                      AND l.state IN ('done', 'failed', 'blocked'))
 ORDER BY t.run_id, t.tenant_id
 LIMIT 1000
