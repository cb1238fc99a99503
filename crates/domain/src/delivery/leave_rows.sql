-- Rows that were taken and not begun go back to where they were.
UPDATE app.deliveries
   SET state = CASE WHEN attempts + deferrals = 0 THEN 'pending' ELSE 'retry_wait' END, job_id = NULL, token = NULL
 WHERE tenant_id = yakin.current_tenant() AND job_id = $1 AND token = $2 AND state = 'sending' AND on_wire_at IS NULL
