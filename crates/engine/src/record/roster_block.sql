-- Blocks the tenants for whom the needed batch is not complete. A tenant that stood in no run of a needed period is
-- not concerned, unless no run of that period for all tenants came as far as its tenants.
WITH needed AS MATERIALIZED (
    SELECT day,
           ARRAY(SELECT r.id FROM yakin.runs r
                  WHERE r.batch_id = $2 AND r.period_start = day AND NOT r.dry_run) AS runs,
           EXISTS (SELECT FROM yakin.runs r
                    WHERE r.batch_id = $2 AND r.period_start = day AND NOT r.dry_run AND r.only_tenants IS NULL
                      AND (r.outcome IN ('succeeded', 'partial') OR r.state = 'ended' AND r.tenants_total > 0)
                  ) AS has_run
      FROM unnest($3::date[]) AS day
), waiting AS MATERIALIZED (
    SELECT tenant_id FROM yakin.run_tenants WHERE run_id = $1 AND state = 'waiting'
), missing AS (
    SELECT t.tenant_id, min(n.day) AS first_day, count(*) AS days
      FROM waiting t CROSS JOIN needed n
     WHERE NOT EXISTS (SELECT FROM yakin.completions c
                        WHERE c.batch_id = $2 AND c.tenant_id IN (t.tenant_id, 0) AND c.period_start = n.day)
       AND (NOT n.has_run
            OR EXISTS (SELECT FROM yakin.run_tenants rt
                        WHERE rt.run_id = ANY (n.runs) AND rt.tenant_id = t.tenant_id))
     GROUP BY t.tenant_id
)
UPDATE yakin.run_tenants t
   SET state = 'blocked', ended_at = $4,
       reason = format('needs %s of %s', $2, m.first_day)
                || CASE WHEN m.days > 1 THEN format(' and %s days more', m.days - 1) ELSE '' END
  FROM missing m
 WHERE t.run_id = $1 AND t.tenant_id = m.tenant_id
