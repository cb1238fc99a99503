-- The tenant's contracts of the month $1 .. $2 that engine $3 bills. One that ends before it starts is no less a
-- mistake for ending before the month: it is read, so that pricing says so.
SELECT contract_id, starts_on, ends_on, proration
  FROM app.contracts
 WHERE tenant_id = yakin.current_tenant() AND billing_engine = $3 AND starts_on < $2
   AND (ends_on IS NULL OR ends_on >= $1 OR (ends_on < starts_on AND starts_on >= $1))
 ORDER BY contract_id
 LIMIT 1000
