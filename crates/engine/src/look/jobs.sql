SELECT id, queue, tenant_id, state, batch_id, run_id, kind, priority, attempt, tried, run_at, node_id, real_claimed,
       progress_done, progress_total
  FROM yakin.jobs
 WHERE ($1::text IS NULL OR queue = $1) AND ($2::text IS NULL OR state = $2) AND ($3::bigint IS NULL OR run_id = $3)
   AND id > $4
 ORDER BY id LIMIT $5
