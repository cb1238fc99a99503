UPDATE app.approaches
   SET next_delivery_at = $2, failures = $3, paused_at = $4, paused_reason = left($5, 1000)
 WHERE tenant_id = yakin.current_tenant() AND approach_id = $1
