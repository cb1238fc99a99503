INSERT INTO app.contract_plans (tenant_id, contract_id, starts_on, plan_code)
SELECT contract.tenant_id, contract.contract_id, change.starts_on, change.plan_code
  FROM jsonb_to_recordset($1) AS tenant (
       tenant_id bigint, starts_on date, plan text, next_plan text, next_plan_from date)
  JOIN app.contracts AS contract ON contract.tenant_id = tenant.tenant_id
 CROSS JOIN LATERAL (VALUES (tenant.starts_on, tenant.plan),
                            (tenant.next_plan_from, tenant.next_plan)) AS change (starts_on, plan_code)
 WHERE change.plan_code IS NOT NULL;
