-- Every third tenant shortens what the platform allows.
INSERT INTO app.session_policies (tenant_id, idle_seconds, max_age_seconds, max_concurrent, revoke_suspicious)
SELECT tenant_id, 600 + 300 * (dice & 3), 28800, 3 + (dice >> 2 & 3), dice >> 4 & 1 = 1
  FROM jsonb_to_recordset($1) AS tenant (n bigint, tenant_id bigint)
 CROSS JOIN LATERAL (SELECT hashint8extended(n, $2) AS dice) AS thrown
 WHERE n % 3 = 1
 ORDER BY n;
