SELECT r.batch_id, b.title, count(*) AS runs, sum(r.tenants_done)::bigint AS done,
       sum(r.tenants_blocked)::bigint AS blocked, sum(r.tenants_failed)::bigint AS failed,
       sum(r.rows_written)::bigint AS rows, sum(r.amount_yen) AS yen,
       (SELECT coalesce(jsonb_object_agg(key, total), '{}')
          FROM (SELECT c.key, sum(c.value::numeric) AS total
                  FROM yakin.runs u, jsonb_each_text(u.counts) AS c
                 WHERE u.batch_id = r.batch_id AND u.run_at >= $1 GROUP BY c.key) AS summed) AS counts
  FROM yakin.runs r
  JOIN yakin.batches b ON b.id = r.batch_id
 WHERE r.run_at >= $1
 GROUP BY r.batch_id, b.title
 ORDER BY r.batch_id
