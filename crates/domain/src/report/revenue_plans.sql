-- What was invoiced for the month from $1 up to $2, by the plan that the contract had on its last day in it.
SELECT coalesce(plan.plan_code, '') AS plan_code, plan.name, i.currency, count(*) AS invoices,
       count(DISTINCT i.tenant_id) AS companies, sum(i.subtotal) AS subtotal, sum(i.tax) AS tax, sum(i.total) AS total
  FROM app.invoices i
  LEFT JOIN LATERAL (
       SELECT c.plan_code, (SELECT p.name FROM app.plans p
                             WHERE p.plan_code = c.plan_code AND p.valid_from < $2
                             ORDER BY p.valid_from DESC LIMIT 1) AS name
         FROM app.contract_plans c
        WHERE (c.tenant_id, c.contract_id) = (i.tenant_id, i.contract_id) AND c.starts_on < $2
        ORDER BY c.starts_on DESC LIMIT 1) AS plan ON true
 WHERE i.state IN ('issued', 'paid', 'overdue') AND i.period_start >= $1 AND i.period_start < $2
 GROUP BY plan.plan_code, plan.name, i.currency
 ORDER BY i.currency, total DESC, plan_code
 LIMIT 1000
