-- The plans of contract $1 in the month $2 .. $3: the one in force at its start, and later changes.
SELECT starts_on, plan_code
  FROM app.contract_plans AS change
 WHERE tenant_id = yakin.current_tenant() AND contract_id = $1 AND starts_on < $3
   AND NOT EXISTS (SELECT FROM app.contract_plans AS later
                    WHERE (later.tenant_id, later.contract_id) = (change.tenant_id, change.contract_id)
                      AND later.starts_on > change.starts_on AND later.starts_on <= $2)
 ORDER BY starts_on
 LIMIT 100
