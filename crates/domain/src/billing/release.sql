-- A held invoice goes on its way; the hold itself stays on record.
WITH released AS (
    UPDATE app.invoices SET released_by = $2
     WHERE number = $1 AND state = 'issued' AND held_at IS NOT NULL AND released_by IS NULL
    RETURNING tenant_id, invoice_id, run_id, document_ready_at IS NOT NULL AS document_ready
), told AS (
    INSERT INTO app.invoice_events (tenant_id, invoice_id, happened_at, event, actor, reason)
    SELECT tenant_id, invoice_id, $4, 'released', $2, $3 FROM released
)
SELECT tenant_id, invoice_id, run_id, document_ready FROM released
