-- The hours of [$1, $2) that were counted, in order, all endpoints merged.
WITH part AS MATERIALIZED (
    SELECT hour, durations, statuses, total_ms FROM app.endpoint_hours WHERE hour >= $1 AND hour < $2
), duration AS (
    SELECT hour, jsonb_object_agg(key, requests) AS merged
      FROM (SELECT hour, d.key, sum(d.value::bigint)::bigint AS requests
              FROM part CROSS JOIN LATERAL jsonb_each_text(durations) AS d GROUP BY hour, d.key) AS each
     GROUP BY hour
), status AS (
    SELECT hour, sum(requests) FILTER (WHERE key BETWEEN '400' AND '499')::bigint AS client_errors,
           sum(requests) FILTER (WHERE key BETWEEN '500' AND '599')::bigint AS server_errors
      FROM (SELECT hour, s.key, s.value::bigint AS requests
              FROM part CROSS JOIN LATERAL jsonb_each_text(statuses) AS s) AS each
     GROUP BY hour
)
SELECT h.hour, h.requests, h.peak_minute, coalesce(h.peak_minute_requests, 0) AS peak_minute_requests, h.impossible,
       coalesce(d.merged, '{}') AS durations, coalesce(s.client_errors, 0) AS client_errors,
       coalesce(s.server_errors, 0) AS server_errors
  FROM app.request_hours h LEFT JOIN duration d USING (hour) LEFT JOIN status s USING (hour)
 WHERE h.hour >= $1 AND h.hour < $2
 ORDER BY h.hour
 LIMIT 200
