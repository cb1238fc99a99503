-- Reports that began between $1 and $2.
WITH requester AS (
    SELECT tenant_id, user_id >> 6 AS block, bit_or(1::bigint << (user_id & 63)::integer) AS users,
           count(*) AS generated, count(*) FILTER (WHERE status = 'completed') AS completed
      FROM app.report_generation_logs WHERE created_at >= $1 AND created_at < $2
     GROUP BY tenant_id, block
)
SELECT coalesce(tenant_id, 0) AS tenant_id,
       jsonb_build_object('reports_generated', sum(generated), 'reports_completed', sum(completed),
                          'report_users', coalesce(sum(bit_count(users::bit(64))), 0))::text AS figures,
       sum(generated)::bigint AS rows_counted,
       (SELECT count(*) FROM app.report_generation_logs WHERE created_at >= $1 AND created_at < $2) AS rows_in_source,
       NULL::text AS impossible
  FROM requester
 GROUP BY 1
 ORDER BY 1
