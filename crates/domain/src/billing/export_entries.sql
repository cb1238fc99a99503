-- Issued, not exported, not held any more: what run $1 issued, and what waits of the month $2 from runs of engine $3 that
-- never came to their export.
SELECT i.tenant_id, i.invoice_id, i.number, i.kind, a.number AS adjusts, t.code,
       coalesce(i.snapshot #>> '{payer,billing_name}', i.snapshot #>> '{payer,name}') AS name,
       i.period_start::text AS first, (i.period_end - 1)::text AS last, i.issued_on::text, i.due_on::text, i.currency,
       x.tax_rate, x.taxable, x.tax, i.snapshot #>> '{issuer,registration_number}' AS registration_number, i.run_id
  FROM app.invoices i
  JOIN app.tenants t USING (tenant_id)
  JOIN app.contracts c USING (tenant_id, contract_id)
  JOIN app.invoice_taxes x USING (tenant_id, invoice_id)
  LEFT JOIN app.invoices a ON (a.tenant_id, a.invoice_id) = (i.tenant_id, i.adjusts_invoice)
 WHERE (i.run_id = $1 OR i.period_start = $2 AND c.billing_engine = $3) AND i.state = 'issued' AND i.exported_at IS NULL
   AND (i.held_at IS NULL OR i.released_by IS NOT NULL)
 ORDER BY i.currency, i.number, x.tax_rate DESC
 LIMIT 1000000
