SELECT f.due_at
  FROM (SELECT id FROM yakin.batches WHERE id = $1 AND enabled FOR UPDATE SKIP LOCKED) AS b
  JOIN LATERAL (SELECT due_at FROM yakin.firings
                 WHERE batch_id = b.id AND planned_at = $2 AND state = 'planned'
                   FOR UPDATE SKIP LOCKED) AS f ON true
