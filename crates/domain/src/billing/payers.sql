-- Tenants with a contract of the month $1 .. $2 that engine $3 bills, suspended and closed ones too. A contract whose
-- dates contradict each other is billed as blocked, not forgotten.
SELECT DISTINCT tenant_id
  FROM app.contracts
 WHERE billing_engine = $3 AND starts_on < $2
   AND (ends_on IS NULL OR ends_on >= $1 OR (ends_on < starts_on AND starts_on >= $1))
 ORDER BY tenant_id
