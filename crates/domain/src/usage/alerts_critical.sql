-- Critical levels that tenants crossed on $1 or later and have not fallen back from, the newest first; of a kind a month may
-- have begun between two.
SELECT kind, code, percent::text AS percent, usage_date::text AS usage_date
  FROM (SELECT DISTINCT ON (tenant_id, kind) tenant_id, kind, percent, usage_date
          FROM app.usage_alerts
         WHERE level = 'critical' AND 'operations' = ANY (audience) AND usage_date >= $1 AND rearmed_on IS NULL
         ORDER BY tenant_id, kind, usage_date DESC) AS crossed
  JOIN app.tenants USING (tenant_id)
 WHERE status <> 'closed'
 ORDER BY crossed.usage_date DESC, code, kind
 LIMIT 10000
