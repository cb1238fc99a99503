-- The codes of companies with a contract in force from $1 up to $2 for which no invoice stands that covers any of it.
SELECT DISTINCT t.code
  FROM app.contracts c JOIN app.tenants t USING (tenant_id)
 WHERE c.starts_on < $2 AND (c.ends_on IS NULL OR c.ends_on >= $1)
   AND NOT EXISTS (SELECT FROM app.invoices i
                    WHERE (i.tenant_id, i.contract_id) = (c.tenant_id, c.contract_id)
                      AND i.state IN ('issued', 'paid', 'overdue') AND i.period_start < $2 AND i.period_end > $1)
 ORDER BY t.code
 LIMIT 20000
