-- The newest other firing of the batch that is due too; an open run of the batch, one for all tenants before one for some;
-- and whether it is for some.
SELECT (SELECT max(planned_at) FROM yakin.firings
         WHERE batch_id = $1 AND planned_at > $2 AND state = 'planned' AND due_at <= $3),
       open.id, coalesce(open.narrow, false)
  FROM (VALUES (1)) AS always
  LEFT JOIN (SELECT id, only_tenants IS NOT NULL AS narrow FROM yakin.runs
              WHERE batch_id = $1 AND state <> 'ended' AND NOT dry_run
              ORDER BY only_tenants IS NOT NULL, id LIMIT 1) AS open ON true
