-- The next rows of a sender, most urgent first, kept for this attempt until it has taken or left them.
SELECT delivery_id
  FROM app.deliveries
 WHERE tenant_id = yakin.current_tenant() AND channel = $1 AND sender = $2 AND integration_id IS NOT DISTINCT FROM $3
   AND state = ANY ($4) AND due_at <= $5 AND priority = ANY ($6)
 ORDER BY priority, due_at, delivery_id
 LIMIT $7
   FOR UPDATE SKIP LOCKED
