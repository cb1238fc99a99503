SELECT approach_id
  FROM app.approaches
 WHERE tenant_id = yakin.current_tenant() AND active AND paused_at IS NULL AND next_delivery_at <= $1
   AND ($2::bigint IS NULL OR approach_id = $2)
 ORDER BY next_delivery_at, approach_id
 LIMIT $3
