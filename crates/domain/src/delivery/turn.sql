-- The outcome of one attempt at a row ($1), its history, and what follows from it; and another row's mark ($16, $17),
-- right before its request leaves. Either may be absent.
WITH ended AS (
    UPDATE app.deliveries d
       SET state = $4, attempts = $5, deferrals = $6, due_at = coalesce($7, d.due_at), cause = $8,
           error = left($9, 1000), receipt = left($10, 200), sent_at = CASE $4 WHEN 'sent' THEN $11 END,
           failed_at = CASE WHEN $4 IN ('failed', 'uncertain') THEN $11 END,
           ended_run = CASE $4 WHEN 'retry_wait' THEN NULL ELSE $12::bigint END,
           job_id = NULL, token = NULL, on_wire_at = NULL
     WHERE d.tenant_id = yakin.current_tenant() AND d.delivery_id = $1 AND d.job_id = $2 AND d.token = $3
    RETURNING d.delivery_id, d.source, d.source_id, d.recipient, d.state
), history AS (
    INSERT INTO app.delivery_attempts (tenant_id, delivery_id, attempted_at, run_id, answer, reason, tries)
    SELECT yakin.current_tenant(), delivery_id, $11, $12, $13, left($9, 1000), $15 FROM ended
), suppressed AS (
    INSERT INTO app.suppressions (tenant_id, address, reason, since)
    SELECT yakin.current_tenant(), lower(recipient), left($9, 200), $11 FROM ended WHERE $14
    ON CONFLICT DO NOTHING
), invoice AS (
    UPDATE app.invoices i SET sent_at = $11
      FROM ended e
     WHERE e.source = 'invoice' AND e.state = 'sent' AND i.tenant_id = yakin.current_tenant()
       AND i.invoice_id = e.source_id AND i.sent_at IS NULL
), marked AS (
    UPDATE app.deliveries SET on_wire_at = $17
     WHERE tenant_id = yakin.current_tenant() AND (delivery_id, job_id, token) = ($16, $2, $3)
    RETURNING delivery_id
)
SELECT (SELECT count(*) FROM ended), (SELECT count(*) FROM marked)
