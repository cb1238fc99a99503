-- A held invoice that settles corrections of the days $1 .. $2 and may still be rejected, which would open them again.
SELECT invoice.number
  FROM app.usage_corrections AS correction
  JOIN app.invoices AS invoice
       ON (invoice.tenant_id, invoice.invoice_id) = (correction.tenant_id, correction.settled_by_invoice)
 WHERE correction.tenant_id = yakin.current_tenant() AND correction.usage_date >= $1 AND correction.usage_date < $2
   AND invoice.state = 'issued' AND invoice.held_at IS NOT NULL AND invoice.released_by IS NULL
 ORDER BY invoice.number
 LIMIT 1
