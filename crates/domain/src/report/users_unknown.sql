-- The tenants in force from $1 up to $2 whose distinct users of that month have not been counted yet.
SELECT DISTINCT c.tenant_id
  FROM app.contracts c
 WHERE c.starts_on < $2 AND (c.ends_on IS NULL OR c.ends_on >= $1)
   AND NOT EXISTS (SELECT FROM app.company_usage_monthly m WHERE (m.tenant_id, m.month) = (c.tenant_id, $1))
 ORDER BY c.tenant_id
