-- What became of the firings that were due from $1 until $2, by batch.
SELECT f.batch_id, b.title, coalesce(f.outcome, f.state) AS outcome, count(*) AS firings
  FROM yakin.firings f JOIN yakin.batches b ON b.id = f.batch_id
 WHERE f.due_at >= $1 AND f.due_at < $2 AND coalesce(f.outcome, '') <> 'withdrawn'
 GROUP BY 1, 2, 3
 ORDER BY 1, 3
 LIMIT 1000
