-- Firings due from $1 until $2, at most $3: of more, those that ended well are left out first, and of these what fires
-- for arrivals. (The rows are chosen here and put in order by who asks.)
 WHERE f.due_at >= $1 AND f.due_at < $2 AND f.outcome IS DISTINCT FROM 'withdrawn'
 ORDER BY CASE WHEN f.outcome IS DISTINCT FROM 'succeeded' THEN 0 WHEN b.schedule LIKE 'on %' THEN 2 ELSE 1 END,
          f.due_at, f.batch_id
 LIMIT $3
