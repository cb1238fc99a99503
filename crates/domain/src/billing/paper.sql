SELECT i.number, i.kind, i.revision, a.number AS adjusts, i.state, i.currency, i.subtotal, i.tax, i.total, i.issued_on,
       i.due_on, i.period_start, i.period_end, i.snapshot, i.document_ready_at IS NOT NULL AS document_ready,
       i.held_at IS NOT NULL AND i.released_by IS NULL AS held, t.billing_email
  FROM app.invoices i
  JOIN app.tenants t USING (tenant_id)
  LEFT JOIN app.invoices a ON (a.tenant_id, a.invoice_id) = (i.tenant_id, i.adjusts_invoice)
 WHERE i.tenant_id = yakin.current_tenant() AND i.invoice_id = $1
