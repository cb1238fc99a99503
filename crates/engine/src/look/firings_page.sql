-- Firings due from $1 until $2 by when they are due: those behind ($3, $4, $5), at most $6.
SELECT f.batch_id, b.title, f.planned_at, f.due_at, f.state, f.outcome, f.reason, f.run_id, f.started_at, f.ended_at,
       r.waiting_for, extract(epoch FROM r.real_ended - r.real_started)::float8 AS seconds,
       b.schedule LIKE 'on %' AS at_once
  FROM yakin.firings f
  JOIN yakin.batches b ON b.id = f.batch_id
  LEFT JOIN yakin.runs r ON r.id = f.run_id
 WHERE f.due_at >= greatest($1, $3) AND f.due_at < $2 AND f.outcome IS DISTINCT FROM 'withdrawn'
   AND ($3::timestamptz IS NULL OR (f.due_at, f.batch_id, f.planned_at) > ($3, $4::text, $5::timestamptz))
 ORDER BY f.due_at, f.batch_id, f.planned_at
 LIMIT $6
