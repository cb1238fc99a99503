SELECT r.state, r.phase, r.waiting_for,
       (SELECT count(*) FROM yakin.run_tenants t WHERE t.run_id = r.id) AS tenants_total,
       (SELECT count(*) FROM yakin.run_tenants t WHERE t.run_id = r.id AND t.state <> 'waiting') AS tenants_ended,
       job.done, job.total, job.retry_at
  FROM yakin.runs r
  CROSS JOIN LATERAL (SELECT max(progress_done) AS done, max(progress_total) AS total,
                             CASE WHEN bool_and(state = 'scheduled') THEN min(run_at) END AS retry_at
                        FROM yakin.jobs j WHERE j.run_id = r.id AND j.kind <> 'follow_up') AS job
 WHERE r.id = $1
