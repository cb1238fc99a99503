-- The endpoints of [$1, $2), hours merged: counts, times, the merged durations and statuses. The busiest come first.
WITH part AS MATERIALIZED (
    SELECT method, endpoint, requests, total_ms, max_ms, durations, statuses
      FROM app.endpoint_hours WHERE hour >= $1 AND hour < $2
), whole AS (
    SELECT method, endpoint, sum(requests)::bigint AS requests, sum(total_ms)::bigint AS total_ms, max(max_ms) AS max_ms
      FROM part GROUP BY method, endpoint
), duration AS (
    SELECT method, endpoint, jsonb_object_agg(key, requests) AS merged
      FROM (SELECT method, endpoint, d.key, sum(d.value::bigint)::bigint AS requests
              FROM part CROSS JOIN LATERAL jsonb_each_text(durations) AS d GROUP BY method, endpoint, d.key) AS each
     GROUP BY method, endpoint
), status AS (
    SELECT method, endpoint, jsonb_object_agg(key, requests) AS merged
      FROM (SELECT method, endpoint, s.key, sum(s.value::bigint)::bigint AS requests
              FROM part CROSS JOIN LATERAL jsonb_each_text(statuses) AS s GROUP BY method, endpoint, s.key) AS each
     GROUP BY method, endpoint
)
SELECT w.method, w.endpoint, w.requests, w.total_ms, w.max_ms, d.merged AS durations, s.merged AS statuses
  FROM whole w JOIN duration d USING (method, endpoint) JOIN status s USING (method, endpoint)
 ORDER BY w.requests DESC, w.method, w.endpoint
 LIMIT 10000
