-- The contracts of the months with first days $1: in force on the last day, begun, ended, with another plan than before,
-- and the base fees of those in force (in the version of the last day) by currency; without a known plan: no currency.
WITH month AS (
    SELECT first, (first + interval '1 month')::date - 1 AS last FROM unnest($1::date[]) AS m (first)
), contract AS (
    SELECT m.first, m.last, c.tenant_id, c.contract_id, c.starts_on, c.ends_on, plan.plan_code, plan.since,
           plan.before, version.currency, version.base_fee
      FROM month m
      JOIN app.contracts c ON c.starts_on <= m.last AND (c.ends_on IS NULL OR c.ends_on >= m.first)
      LEFT JOIN LATERAL (
           SELECT p.plan_code, p.starts_on AS since,
                  lead(p.plan_code) OVER (ORDER BY p.starts_on DESC) AS before
             FROM app.contract_plans p
            WHERE (p.tenant_id, p.contract_id) = (c.tenant_id, c.contract_id) AND p.starts_on <= m.last
            ORDER BY p.starts_on DESC LIMIT 1) AS plan ON true
      LEFT JOIN LATERAL (
           SELECT v.currency, v.base_fee FROM app.plans v
            WHERE v.plan_code = plan.plan_code AND v.valid_from <= m.last
            ORDER BY v.valid_from DESC LIMIT 1) AS version ON true
)
SELECT first, currency,
       count(*) FILTER (WHERE ends_on IS NULL OR ends_on >= last) AS in_force,
       count(*) FILTER (WHERE starts_on >= first) AS begun,
       count(*) FILTER (WHERE ends_on <= last) AS ended,
       count(*) FILTER (WHERE since >= first AND since > starts_on AND before <> plan_code) AS changed,
       coalesce(sum(base_fee) FILTER (WHERE ends_on IS NULL OR ends_on >= last), 0) AS recurring
  FROM contract
 GROUP BY first, currency
 ORDER BY currency NULLS LAST, first
