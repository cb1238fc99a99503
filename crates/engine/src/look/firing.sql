-- A firing as people look at it, with its run.
SELECT f.batch_id, b.title, f.planned_at, f.due_at, f.state, f.outcome, f.reason, f.run_id, f.started_at, f.ended_at,
       r.waiting_for, extract(epoch FROM r.real_ended - r.real_started)::float8 AS seconds,
       b.schedule LIKE 'on %' AS at_once
  FROM yakin.firings f
  JOIN yakin.batches b ON b.id = f.batch_id
  LEFT JOIN yakin.runs r ON r.id = f.run_id
