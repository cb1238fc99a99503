SELECT t.run_id, r.batch_id, t.tenant_id AS tenant, NULL::text AS code, t.state, t.reason
  FROM yakin.run_tenants t
  JOIN yakin.runs r ON r.id = t.run_id
 WHERE r.run_at >= $1 AND r.state = 'ended' AND t.state IN ('failed', 'blocked')
 ORDER BY t.run_id, t.tenant_id LIMIT 100
