-- A held invoice is void before anybody got it; the corrections it settled are open again, and its days may change again:
-- those that no other invoice by usage covers (contract days as they were priced; one by heads has a proration and binds
-- none) and that have no correction, which would be counted twice with a changed record.
WITH rejected AS (
    UPDATE app.invoices SET state = 'void'
     WHERE number = $1 AND state = 'issued' AND held_at IS NOT NULL AND released_by IS NULL AND sent_at IS NULL
    RETURNING tenant_id, invoice_id
), reopened AS (
    UPDATE app.usage_corrections AS correction SET settled_by_invoice = NULL
      FROM rejected
     WHERE (correction.tenant_id, correction.settled_by_invoice) = (rejected.tenant_id, rejected.invoice_id)
), covered AS (
    SELECT tenant_id, invoice_id, state, greatest(period_start, (snapshot #>> '{contract,starts_on}')::date) AS first,
           least(period_end, (snapshot #>> '{contract,ends_on}')::date + 1) AS beyond
      FROM app.invoices
     WHERE tenant_id IN (SELECT tenant_id FROM rejected) AND NOT snapshot ? 'proration'
), freed AS (
    UPDATE app.usage_statistics AS day SET state = 'final'
      FROM rejected JOIN covered AS of_it USING (tenant_id, invoice_id)
     WHERE day.tenant_id = rejected.tenant_id AND day.state = 'billed'
       AND day.usage_date >= of_it.first AND day.usage_date < of_it.beyond
       AND NOT EXISTS (SELECT FROM covered AS other
                        WHERE other.invoice_id <> rejected.invoice_id AND other.state <> 'void'
                          AND day.usage_date >= other.first AND day.usage_date < other.beyond)
       AND NOT EXISTS (SELECT FROM app.usage_corrections AS correction
                        WHERE (correction.tenant_id, correction.usage_date) = (day.tenant_id, day.usage_date))
)
INSERT INTO app.invoice_events (tenant_id, invoice_id, happened_at, event, actor, reason)
SELECT tenant_id, invoice_id, $4, 'rejected', $2, $3 FROM rejected
