-- The tenants whose contract covers day $3; a suspended one's files still take up room.
SELECT DISTINCT tenant_id
  FROM app.contracts
 WHERE starts_on <= $3 AND (ends_on IS NULL OR ends_on >= $3)
 ORDER BY tenant_id
