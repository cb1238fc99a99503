-- The first needed day that is not settled, and whether it only lacks tenants. Settled: no run of it is open, and one
-- for all tenants succeeded at least for some (or left its tenants to a rerun that did).
WITH needed AS (
    SELECT day,
           NOT EXISTS (SELECT FROM yakin.runs r
                        WHERE r.batch_id = $1 AND r.period_start = day AND NOT r.dry_run AND r.state <> 'ended')
           AND EXISTS (SELECT FROM yakin.runs r
                        WHERE r.batch_id = $1 AND r.period_start = day AND NOT r.dry_run
                          AND r.outcome IN ('succeeded', 'partial')
                          AND (r.only_tenants IS NULL
                               OR EXISTS (SELECT FROM yakin.runs w
                                           WHERE w.batch_id = $1 AND w.period_start = day AND NOT w.dry_run
                                             AND w.only_tenants IS NULL AND w.tenants_total > 0))) AS is_settled
      FROM unnest($2::date[]) AS day
), undone AS (
    SELECT DISTINCT r.period_start AS day
      FROM yakin.runs r JOIN yakin.run_tenants t ON t.run_id = r.id
     WHERE $4 AND r.batch_id = $1 AND r.period_start = ANY ($2) AND NOT r.dry_run
       AND t.state <> 'done' AND coalesce(t.reason, '') NOT LIKE 'not in scope%'
       AND NOT EXISTS (SELECT FROM yakin.completions c
                        WHERE (c.batch_id, c.tenant_id, c.period_start) = ($1, t.tenant_id, r.period_start))
)
SELECT n.day, n.is_settled AS lacks_tenants
  FROM needed n
 WHERE (NOT n.is_settled OR n.day IN (SELECT day FROM undone))
   -- a soft need on a batch that is disabled or unknown counts as met
   AND ($3 OR EXISTS (SELECT FROM yakin.batches b WHERE b.id = $1 AND b.enabled))
 ORDER BY n.day LIMIT 1
