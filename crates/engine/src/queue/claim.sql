SELECT id, token, queue, tenant_id, priority, run_id, batch_id, kind, payload, attempt, tried, deadline_at, checkpoint
  FROM yakin.claim($1, $2, $3, $4, $5)
