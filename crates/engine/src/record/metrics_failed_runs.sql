-- Open alerts of runs tell it best: they close when a later run has done what was left.
SELECT b.slug AS job_name, r.outcome, a.severity, count(*) AS count
  FROM yakin.alerts a
  JOIN yakin.runs r ON r.id = a.run_id
  JOIN yakin.batches b ON b.id = r.batch_id
 WHERE a.rule = 'run_failed' AND a.resolved_at IS NULL
 GROUP BY b.slug, r.outcome, a.severity
 ORDER BY b.slug, r.outcome, a.severity
