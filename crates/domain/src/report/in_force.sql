-- The tenants with a contract in force on at least one day from $1 up to $2, whatever they are now.
SELECT DISTINCT tenant_id
  FROM app.contracts
 WHERE starts_on < $2 AND (ends_on IS NULL OR ends_on >= $1)
 ORDER BY tenant_id
