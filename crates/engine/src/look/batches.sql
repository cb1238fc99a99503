SELECT b.id, b.slug, b.title, b.schedule, b.enabled, b.spec,
       (SELECT min(due_at) FROM yakin.firings f WHERE f.batch_id = b.id AND f.state IN ('planned', 'held')) AS next_due,
       (SELECT outcome FROM yakin.runs r WHERE r.batch_id = b.id AND r.state = 'ended' AND NOT r.dry_run
         ORDER BY id DESC LIMIT 1) AS last_outcome,
       coalesce((SELECT jsonb_object_agg(key, value) FROM yakin.settings s WHERE s.batch_id = b.id), '{}') AS overrides
  FROM yakin.batches b
 WHERE $1::text IS NULL OR b.id = $1
 ORDER BY b.id LIMIT 1000
