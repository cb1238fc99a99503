-- Up to three tenants have a second contract, billed by heads. After contract_plans.sql, which knows one per tenant.
WITH signed AS (
    INSERT INTO app.contracts (tenant_id, billing_engine, starts_on, proration)
    SELECT tenant_id, 'skillsheet', starts_on, 'daily'
      FROM (SELECT n, tenant_id, starts_on
              FROM jsonb_to_recordset($1) AS tenant (
                   n bigint, tenant_id bigint, starts_on date, status text, currency text, by_heads boolean)
             WHERE by_heads AND status = 'active' AND currency = 'JPY'
             ORDER BY n LIMIT 3) AS few
     ORDER BY n
    RETURNING tenant_id, contract_id, starts_on
)
INSERT INTO app.contract_plans (tenant_id, contract_id, starts_on, plan_code)
SELECT tenant_id, contract_id, starts_on, 'light' FROM signed;
