-- The invoices of the month from $1 up to $2, void ones left out.
SELECT i.number, t.name, i.kind, i.currency, i.subtotal, i.tax, i.total
  FROM app.invoices i JOIN app.tenants t USING (tenant_id)
 WHERE i.state IN ('issued', 'paid', 'overdue') AND i.period_start >= $1 AND i.period_start < $2
 ORDER BY i.currency, i.total DESC, i.number
 LIMIT 50000
