-- The invoices issued in a month, with the digests of their documents; an adjusted one is looked up by its key, of which
-- no plan makes a pass over all.
SELECT i.number, i.kind,
       (SELECT a.number FROM app.invoices a WHERE a.tenant_id = i.tenant_id AND a.invoice_id = i.adjusts_invoice), t.code,
       coalesce(i.snapshot #>> '{payer,billing_name}', i.snapshot #>> '{payer,name}', t.billing_name, t.name),
       i.period_start::text, (i.period_end - 1)::text, i.issued_on::text, i.due_on::text, i.currency, i.subtotal::text,
       i.tax::text, i.total::text, i.state,
       to_char(i.held_at AT TIME ZONE 'Asia/Tokyo', 'YYYY-MM-DD"T"HH24:MI:SS"+09:00"'), i.held_reason, i.released_by,
       to_char(i.sent_at AT TIME ZONE 'Asia/Tokyo', 'YYYY-MM-DD"T"HH24:MI:SS"+09:00"'),
       to_char(i.exported_at AT TIME ZONE 'Asia/Tokyo', 'YYYY-MM-DD"T"HH24:MI:SS"+09:00"'),
       i.document_key, i.document_sha256, i.usage_digest, i.run_id::text
  FROM app.invoices i
  JOIN app.tenants t ON t.tenant_id = i.tenant_id
 WHERE i.issued_on >= $1::date AND i.issued_on < $2::date
 ORDER BY i.number
