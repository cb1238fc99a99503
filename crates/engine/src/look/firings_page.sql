-- Firings due from $1 until $2 by when they are due: those behind ($3, $4, $5), at most $6.
 WHERE f.due_at >= greatest($1, $3) AND f.due_at < $2 AND f.outcome IS DISTINCT FROM 'withdrawn'
   AND ($3::timestamptz IS NULL OR (f.due_at, f.batch_id, f.planned_at) > ($3, $4::text, $5::timestamptz))
 ORDER BY f.due_at, f.batch_id, f.planned_at
 LIMIT $6
