-- Logins that succeeded between $1 and $2.
SELECT coalesce(tenant_id, 0) AS tenant_id,
       jsonb_build_object('logins', count(*) FILTER (WHERE succeeded))::text AS figures, count(*) AS rows_counted,
       (SELECT count(*) FROM app.login_logs WHERE created_at >= $1 AND created_at < $2) AS rows_in_source,
       NULL::text AS impossible
  FROM app.login_logs
 WHERE created_at >= $1 AND created_at < $2
 GROUP BY 1
 ORDER BY 1
