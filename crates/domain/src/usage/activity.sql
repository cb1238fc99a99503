-- What the people of each tenant did between $1 and $2, in one snapshot: API calls, sessions, and who was active (a call,
-- a session or a login). People are counted as bits, 64 to a row, and the percentile is looked for inside the one band of
-- 64 ms that holds it: with small hash tables this costs two to three bare GROUP BYs; DISTINCT and a sort cost far more.
WITH caller AS (
    SELECT tenant_id, user_id >> 6 AS block, bit_or(1::bigint << (user_id & 63)::integer) AS users, count(*) AS calls,
           count(*) FILTER (WHERE response_status BETWEEN 200 AND 399) AS successful,
           count(*) FILTER (WHERE response_status BETWEEN 400 AND 499) AS client_errors,
           count(*) FILTER (WHERE response_status BETWEEN 500 AND 599) AS server_errors,
           sum(request_bytes) AS request_bytes, sum(response_bytes) AS response_bytes,
           min(least(request_bytes, response_bytes)) AS fewest_bytes
      FROM app.api_call_logs WHERE created_at >= $1 AND created_at < $2
     GROUP BY tenant_id, block
), band AS (
    SELECT tenant_id, response_ms >> 6 AS band, count(*) AS calls, sum(response_ms) AS response_ms_sum,
           min(response_ms) AS fastest, max(response_ms) AS slowest
      FROM app.api_call_logs WHERE created_at >= $1 AND created_at < $2
     GROUP BY tenant_id, band
), visitor AS (
    SELECT tenant_id, user_id >> 6 AS block, bit_or(1::bigint << (user_id & 63)::integer) AS users,
           count(*) AS sessions, coalesce(sum(duration_seconds), 0) AS session_seconds,
           min(duration_seconds) AS shortest
      FROM app.user_sessions WHERE created_at >= $1 AND created_at < $2
     GROUP BY tenant_id, block
), login AS (
    SELECT tenant_id, user_id >> 6 AS block, bit_or(1::bigint << (user_id & 63)::integer) AS users
      FROM app.login_logs WHERE created_at >= $1 AND created_at < $2 AND succeeded
     GROUP BY tenant_id, block
), active AS (
    SELECT coalesce(tenant_id, 0) AS tenant_id, sum(bit_count(users::bit(64))) AS active_users
      FROM (SELECT tenant_id, bit_or(users) AS users
              FROM (SELECT tenant_id, block, users FROM caller
                    UNION ALL SELECT tenant_id, block, users FROM visitor
                    UNION ALL SELECT tenant_id, block, users FROM login) AS person
             GROUP BY tenant_id, block) AS seen
     GROUP BY tenant_id
), call AS (
    SELECT coalesce(tenant_id, 0) AS tenant_id, sum(calls) AS calls, sum(bit_count(users::bit(64))) AS call_users,
           sum(successful) AS successful, sum(client_errors) AS client_errors, sum(server_errors) AS server_errors,
           sum(request_bytes) AS request_bytes, sum(response_bytes) AS response_bytes,
           min(fewest_bytes) AS fewest_bytes
      FROM caller GROUP BY tenant_id
), response AS (
    SELECT coalesce(tenant_id, 0) AS tenant_id, sum(response_ms_sum) AS response_ms_sum,
           round(sum(response_ms_sum) / sum(calls), 3) AS response_ms_mean, max(slowest) AS response_ms_max,
           min(fastest) AS fastest
      FROM band GROUP BY tenant_id
), high_band AS (
    -- the 95th percentile is the smallest value that at least 95 % of the calls do not exceed
    SELECT DISTINCT ON (tenant_id) tenant_id, band, up_to - calls AS below, calls_in_all
      FROM (SELECT tenant_id, band, calls, sum(calls) OVER (PARTITION BY tenant_id) AS calls_in_all,
                   sum(calls) OVER (PARTITION BY tenant_id ORDER BY band) AS up_to FROM band) AS ranked
     WHERE up_to * 100 >= calls_in_all * 95
     ORDER BY tenant_id, band
), percentile AS (
    SELECT tenant_id, min(response_ms) FILTER (WHERE up_to * 100 >= calls_in_all * 95) AS response_ms_p95
      FROM (SELECT tenant_id, response_ms, calls_in_all,
                   below + sum(count(*)) OVER (PARTITION BY tenant_id ORDER BY response_ms) AS up_to
              FROM app.api_call_logs JOIN high_band USING (tenant_id)
             WHERE created_at >= $1 AND created_at < $2 AND response_ms >> 6 = band
             GROUP BY tenant_id, response_ms, calls_in_all, below) AS ranked
     GROUP BY tenant_id
), session AS (
    SELECT coalesce(tenant_id, 0) AS tenant_id, sum(sessions) AS sessions, sum(session_seconds) AS session_seconds,
           min(shortest) AS shortest
      FROM visitor GROUP BY tenant_id
), figure AS (
    SELECT tenant_id, active_users, calls, call_users, successful, client_errors, server_errors, request_bytes,
           response_bytes, response_ms_sum, response_ms_mean, response_ms_p95, response_ms_max, sessions,
           session_seconds, fastest, fewest_bytes, shortest
      FROM active LEFT JOIN call USING (tenant_id) LEFT JOIN response USING (tenant_id)
      LEFT JOIN percentile USING (tenant_id) LEFT JOIN session USING (tenant_id)
)
SELECT tenant_id,
       jsonb_strip_nulls(to_jsonb(figure) - '{tenant_id, fastest, fewest_bytes, shortest}'::text[])::text AS figures,
       (coalesce(calls, 0) + coalesce(sessions, 0))::bigint AS rows_counted,
       (SELECT coalesce(sum(calls), 0) FROM band)::bigint
       + (SELECT count(*) FROM app.user_sessions WHERE created_at >= $1 AND created_at < $2) AS rows_in_source,
       CASE WHEN fastest < 0 THEN 'api_call_logs has response_ms ' || fastest
            WHEN fewest_bytes < 0 THEN 'api_call_logs has bytes ' || fewest_bytes
            WHEN shortest < 0 THEN 'user_sessions has duration_seconds ' || shortest END AS impossible
  FROM figure
 ORDER BY tenant_id
