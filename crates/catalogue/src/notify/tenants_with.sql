SELECT DISTINCT tenant_id
  FROM app.deliveries
 WHERE channel = ANY ($1) AND (state = ANY ($2) AND due_at <= $3 OR state = 'sending' OR untold)
 ORDER BY tenant_id
