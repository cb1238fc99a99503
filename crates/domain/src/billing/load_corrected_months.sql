-- Months before $1 with corrections that no invoice has settled, the oldest first.
SELECT DISTINCT date_trunc('month', usage_date)::date AS month
  FROM app.usage_corrections
 WHERE tenant_id = yakin.current_tenant() AND usage_date < $1 AND settled_by_invoice IS NULL
 ORDER BY month
 LIMIT 24
