-- The companies in force from $1 up to $2 with their month: $3 are those whose report could not be made.
WITH used AS (
    SELECT tenant_id, max(total_users) AS users_peak, max(total_engineers) AS engineers_peak, sum(logins)::bigint AS logins,
           sum(api_calls)::bigint AS api_calls, max(storage_bytes)::numeric AS storage_peak
      FROM app.company_usage_daily WHERE usage_date >= $1 AND usage_date < $2 GROUP BY tenant_id
), contract AS (
    SELECT tenant_id, min(starts_on) AS first_day, CASE WHEN bool_and(ends_on IS NOT NULL) THEN max(ends_on) END AS last_day
      FROM app.contracts GROUP BY tenant_id
)
SELECT t.code, t.name, u.users_peak, u.engineers_peak, m.active_users, u.logins, u.api_calls, u.storage_peak,
       c.first_day >= $1 AS is_new, coalesce(c.last_day < $2, false) AS is_lost, t.tenant_id = ANY ($3) AS failed
  FROM app.tenants t
  JOIN contract c USING (tenant_id)
  LEFT JOIN used u USING (tenant_id)
  LEFT JOIN app.company_usage_monthly m ON (m.tenant_id, m.month) = (t.tenant_id, $1)
 WHERE c.first_day < $2 AND (c.last_day IS NULL OR c.last_day >= $1)
 ORDER BY u.users_peak DESC NULLS LAST, t.code
 LIMIT 20000
