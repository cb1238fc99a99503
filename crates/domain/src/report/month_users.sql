-- Who was active between $1 and $2 (a call, a session or a login): distinct people by tenant, counted from the events,
-- staged for run $3 under day $4 for the tenants $5. People are counted as bits, 64 to a row.
WITH visitor AS (
    SELECT tenant_id, user_id >> 6 AS block, bit_or(1::bigint << (user_id & 63)::integer) AS users
      FROM app.api_call_logs WHERE created_at >= $1 AND created_at < $2
     GROUP BY tenant_id, block
    UNION ALL
    SELECT tenant_id, user_id >> 6, bit_or(1::bigint << (user_id & 63)::integer)
      FROM app.user_sessions WHERE created_at >= $1 AND created_at < $2
     GROUP BY 1, 2
    UNION ALL
    SELECT tenant_id, user_id >> 6, bit_or(1::bigint << (user_id & 63)::integer)
      FROM app.login_logs WHERE created_at >= $1 AND created_at < $2 AND succeeded
     GROUP BY 1, 2
), active AS (
    SELECT tenant_id, sum(bit_count(users::bit(64)))::bigint AS active_users
      FROM (SELECT tenant_id, bit_or(users) AS users FROM visitor GROUP BY tenant_id, block) AS seen
     GROUP BY tenant_id
)
INSERT INTO staging.usage_figures (tenant_id, run_id, usage_date, source, figures)
SELECT scope.tenant_id, $3, $4, 'month_users', jsonb_build_object('active_users', coalesce(active.active_users, 0))
  FROM unnest($5::bigint[]) AS scope (tenant_id)
  LEFT JOIN active ON active.tenant_id = scope.tenant_id
