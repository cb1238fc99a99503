-- The first needed day that is not settled: no run of it has succeeded (at least for some tenants), or one is open.
SELECT day FROM unnest($2::date[]) AS day
 WHERE EXISTS (SELECT FROM yakin.runs r
                WHERE r.batch_id = $1 AND r.period_start = day AND r.state <> 'ended' AND NOT r.dry_run)
    OR NOT EXISTS (SELECT FROM yakin.runs r
                    WHERE r.batch_id = $1 AND r.period_start = day AND NOT r.dry_run
                      AND r.outcome IN ('succeeded', 'partial'))
 ORDER BY day LIMIT 1
