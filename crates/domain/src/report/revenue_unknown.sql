-- The contracts in force from $1 up to $2 whose plan is in no price list, or that have no plan: company, contract, plan.
-- They are in no figure by currency, since a plan says the currency.
SELECT t.code || ' #' || c.contract_id || ' (' || coalesce(plan.plan_code, '–') || ')'
  FROM app.contracts c
  JOIN app.tenants t USING (tenant_id)
  LEFT JOIN LATERAL (
       SELECT p.plan_code FROM app.contract_plans p
        WHERE (p.tenant_id, p.contract_id) = (c.tenant_id, c.contract_id) AND p.starts_on < $2
        ORDER BY p.starts_on DESC LIMIT 1) AS plan ON true
 WHERE c.starts_on < $2 AND (c.ends_on IS NULL OR c.ends_on >= $1)
   AND NOT EXISTS (SELECT FROM app.plans v WHERE v.plan_code = plan.plan_code AND v.valid_from < $2)
 ORDER BY t.code, c.contract_id
 LIMIT 20000
