INSERT INTO app.invoices (tenant_id, contract_id, period_start, period_end, revision, kind, adjusts_invoice, number,
                          state, currency, subtotal, tax, total, issued_on, due_on, usage_digest, snapshot, held_at,
                          held_reason, run_id)
VALUES (yakin.current_tenant(), $1, $2, $3, $4, CASE WHEN $5::bigint IS NULL THEN 'invoice' ELSE 'adjustment' END, $5,
        $6, 'issued', $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
RETURNING invoice_id
