-- A held invoice is void before anybody got it; the corrections it settled are open again.
WITH rejected AS (
    UPDATE app.invoices SET state = 'void'
     WHERE number = $1 AND state = 'issued' AND held_at IS NOT NULL AND released_by IS NULL AND sent_at IS NULL
    RETURNING tenant_id, invoice_id
), reopened AS (
    UPDATE app.usage_corrections AS correction SET settled_by_invoice = NULL
      FROM rejected
     WHERE (correction.tenant_id, correction.settled_by_invoice) = (rejected.tenant_id, rejected.invoice_id)
)
INSERT INTO app.invoice_events (tenant_id, invoice_id, happened_at, event, actor, reason)
SELECT tenant_id, invoice_id, $4, 'rejected', $2, $3 FROM rejected
