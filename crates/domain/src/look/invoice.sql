-- An invoice as people look at it.
SELECT i.invoice_id, i.number, i.kind, a.number AS adjusts, t.code AS tenant,
       coalesce(i.snapshot #>> '{payer,billing_name}', i.snapshot #>> '{payer,name}', t.billing_name, t.name) AS counterparty,
       i.state, i.period_start, i.period_end, i.issued_on, i.due_on, i.currency, i.subtotal, i.tax, i.total,
       i.state = 'issued' AND i.held_at IS NOT NULL AND i.released_by IS NULL AS held,
       CASE WHEN $1::bigint[] IS NULL THEN i.held_reason END AS held_reason,
       CASE WHEN $1::bigint[] IS NULL THEN i.released_by END AS released_by,
       i.document_ready_at IS NOT NULL AS document_ready, i.document_sha256, i.sent_at, i.exported_at, i.run_id
  FROM app.invoices i
  JOIN app.tenants t ON t.tenant_id = i.tenant_id
  LEFT JOIN app.invoices a ON (a.tenant_id, a.invoice_id) = (i.tenant_id, i.adjusts_invoice)
