-- Firings due from $1 until $2, at most $3: of more, those that ended well are left out first, and of these what fires
-- for arrivals.
SELECT * FROM (
    SELECT f.batch_id, b.title, f.planned_at, f.due_at, f.state, f.outcome, f.reason, f.run_id, f.started_at, f.ended_at,
           r.waiting_for, extract(epoch FROM r.real_ended - r.real_started)::float8 AS seconds,
           b.schedule LIKE 'on %' AS at_once
      FROM yakin.firings f
      JOIN yakin.batches b ON b.id = f.batch_id
      LEFT JOIN yakin.runs r ON r.id = f.run_id
     WHERE f.due_at >= $1 AND f.due_at < $2 AND f.outcome IS DISTINCT FROM 'withdrawn'
     ORDER BY CASE WHEN f.outcome IS DISTINCT FROM 'succeeded' THEN 0 WHEN b.schedule LIKE 'on %' THEN 2 ELSE 1 END,
              f.due_at, f.batch_id LIMIT $3) AS shown
 ORDER BY due_at, batch_id, planned_at
