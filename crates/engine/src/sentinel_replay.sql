-- One run per spooled firing, ended as it was found, where the firing has not ended otherwise.
WITH firing AS (
    SELECT batch_id, planned_at FROM yakin.firings
     WHERE batch_id = $1 AND planned_at = $2 AND state = 'planned' FOR UPDATE
), run AS (
    INSERT INTO yakin.runs (batch_id, planned_at, trigger, requested_by, state, run_at, ended_at, outcome, reason,
                            real_started, real_ended, notes)
    SELECT batch_id, planned_at, 'firing', 'sentinel', 'ended', planned_at, $5, $3,
           CASE $3 WHEN 'failed' THEN $4 END, clock_timestamp(), clock_timestamp(),
           jsonb_build_array('ran without the database: ' || $4)
      FROM firing
    RETURNING id, batch_id, planned_at
)
UPDATE yakin.firings f
   SET state = 'ended', outcome = $3, reason = CASE $3 WHEN 'failed' THEN $4 END, run_id = run.id, started_at = f.planned_at,
       ended_at = $5
  FROM run
 WHERE (f.batch_id, f.planned_at) = (run.batch_id, run.planned_at)
RETURNING f.run_id
