-- What the people of each tenant did between $1 and $2: API calls, sessions, and who was active (a call, a session or
-- a login). Two groupings of the calls, by user and by milliseconds, cost less than count(DISTINCT) and a sort would.
WITH caller AS (
    SELECT tenant_id, user_id, count(*) AS calls,
           count(*) FILTER (WHERE response_status BETWEEN 200 AND 399) AS successful,
           count(*) FILTER (WHERE response_status BETWEEN 400 AND 499) AS client_errors,
           count(*) FILTER (WHERE response_status BETWEEN 500 AND 599) AS server_errors,
           sum(request_bytes) AS request_bytes, sum(response_bytes) AS response_bytes,
           min(least(request_bytes, response_bytes)) AS fewest_bytes
      FROM app.api_call_logs WHERE created_at >= $1 AND created_at < $2
     GROUP BY tenant_id, user_id
), duration AS (
    SELECT tenant_id, response_ms, count(*) AS calls
      FROM app.api_call_logs WHERE created_at >= $1 AND created_at < $2
     GROUP BY tenant_id, response_ms
), visitor AS (
    SELECT tenant_id, user_id, count(*) AS sessions, coalesce(sum(duration_seconds), 0) AS session_seconds,
           min(duration_seconds) AS shortest
      FROM app.user_sessions WHERE created_at >= $1 AND created_at < $2
     GROUP BY tenant_id, user_id
), call AS (
    SELECT coalesce(tenant_id, 0) AS tenant_id, sum(calls) AS calls, count(user_id) AS call_users,
           sum(successful) AS successful, sum(client_errors) AS client_errors, sum(server_errors) AS server_errors,
           sum(request_bytes) AS request_bytes, sum(response_bytes) AS response_bytes, min(fewest_bytes) AS fewest_bytes
      FROM caller GROUP BY tenant_id
), response AS (
    -- the 95th percentile is the smallest value that at least 95 % of the calls do not exceed
    SELECT coalesce(tenant_id, 0) AS tenant_id, sum(response_ms * calls) AS response_ms_sum,
           round(sum(response_ms * calls) / sum(calls), 3) AS response_ms_mean,
           min(response_ms) FILTER (WHERE up_to * 100 >= calls_in_all * 95) AS response_ms_p95,
           max(response_ms) AS response_ms_max, min(response_ms) AS fastest
      FROM (SELECT tenant_id, response_ms, calls, sum(calls) OVER (PARTITION BY tenant_id) AS calls_in_all,
                   sum(calls) OVER (PARTITION BY tenant_id ORDER BY response_ms) AS up_to FROM duration) AS ranked
     GROUP BY tenant_id
), session AS (
    SELECT coalesce(tenant_id, 0) AS tenant_id, sum(sessions) AS sessions, sum(session_seconds) AS session_seconds,
           min(shortest) AS shortest
      FROM visitor GROUP BY tenant_id
), active AS (
    SELECT coalesce(tenant_id, 0) AS tenant_id, count(user_id) AS active_users
      FROM (SELECT tenant_id, user_id FROM caller
            UNION SELECT tenant_id, user_id FROM visitor
            UNION SELECT tenant_id, user_id FROM app.login_logs
                   WHERE created_at >= $1 AND created_at < $2 AND succeeded) AS person
     GROUP BY tenant_id
), figure AS (
    SELECT active.*, calls, call_users, successful, client_errors, server_errors, request_bytes, response_bytes,
           response_ms_sum, response_ms_mean, response_ms_p95, response_ms_max, sessions, session_seconds,
           fastest, fewest_bytes, shortest
      FROM active LEFT JOIN call USING (tenant_id) LEFT JOIN response USING (tenant_id)
      LEFT JOIN session USING (tenant_id)
)
SELECT tenant_id,
       jsonb_strip_nulls(to_jsonb(figure) - '{tenant_id, fastest, fewest_bytes, shortest}'::text[])::text AS figures,
       (coalesce(calls, 0) + coalesce(sessions, 0))::bigint AS rows_counted,
       ((SELECT coalesce(sum(calls), 0) FROM duration)
        + (SELECT count(*) FROM app.user_sessions WHERE created_at >= $1 AND created_at < $2))::bigint AS source_rows,
       CASE WHEN fastest < 0 THEN 'api_call_logs has response_ms ' || fastest
            WHEN fewest_bytes < 0 THEN 'api_call_logs has bytes ' || fewest_bytes
            WHEN shortest < 0 THEN 'user_sessions has duration_seconds ' || shortest END AS impossible
  FROM figure
 ORDER BY tenant_id
