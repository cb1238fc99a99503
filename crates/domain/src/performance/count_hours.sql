-- Counts the hours of [$1, $2) that have not been counted, for run $3, in one pass over the calls. A duration is put under
-- the next number of two figures: up to 99 ms exact, above at most a tenth too high. More endpoints than $4 in these hours
-- are put together as one without a name.
WITH wanted AS MATERIALIZED (
    SELECT hour FROM generate_series($1::timestamptz, $2::timestamptz - interval '1 hour', interval '1 hour') AS hour
     WHERE NOT EXISTS (SELECT FROM app.request_hours h WHERE h.hour = hour.hour)
), call AS MATERIALIZED (
    SELECT date_trunc('minute', created_at, 'Asia/Tokyo') AS minute, tenant_id,
           left(coalesce(method, ''), 10) AS method, left(coalesce(endpoint, ''), 200) AS endpoint, response_status,
           CASE WHEN response_ms < 0 THEN -1 WHEN response_ms <= 99 THEN response_ms
                WHEN response_ms <= 1000 THEN (response_ms + 9) / 10 * 10
                WHEN response_ms <= 10000 THEN (response_ms + 99) / 100 * 100
                WHEN response_ms <= 100000 THEN (response_ms + 999) / 1000 * 1000
                ELSE least((response_ms::bigint + 9999) / 10000 * 10000, 1000000000)::integer END AS bound,
           count(*) AS requests, sum(response_ms) AS total_ms, max(response_ms) AS max_ms
      FROM app.api_call_logs WHERE created_at >= $1 AND created_at < $2
     GROUP BY 1, 2, 3, 4, 5, 6
), named AS MATERIALIZED (
    SELECT method, endpoint FROM call WHERE bound >= 0 GROUP BY method, endpoint
     ORDER BY sum(requests) DESC, method, endpoint LIMIT $4
), counted AS MATERIALIZED (
    SELECT date_trunc('hour', c.minute, 'Asia/Tokyo') AS hour, c.tenant_id, coalesce(n.method, '') AS method,
           coalesce(n.endpoint, '…') AS endpoint, c.response_status, c.bound, sum(c.requests)::bigint AS requests,
           sum(c.total_ms)::bigint AS total_ms, max(c.max_ms) AS max_ms
      FROM call c LEFT JOIN named n ON n.method = c.method AND n.endpoint = c.endpoint
     WHERE c.bound >= 0
     GROUP BY 1, 2, 3, 4, 5, 6
), minute AS (
    SELECT minute, date_trunc('hour', minute, 'Asia/Tokyo') AS hour,
           coalesce(sum(requests) FILTER (WHERE bound >= 0), 0)::bigint AS requests,
           coalesce(sum(requests) FILTER (WHERE bound < 0), 0)::bigint AS impossible
      FROM call GROUP BY minute
), peak AS (
    SELECT hour, sum(requests)::bigint AS requests, sum(impossible)::bigint AS impossible, max(requests) AS most,
           (array_agg(minute ORDER BY requests DESC, minute))[1] AS peak_minute
      FROM minute GROUP BY hour
), hours AS (
    INSERT INTO app.request_hours (hour, requests, peak_minute, peak_minute_requests, impossible, run_id)
    SELECT hour, coalesce(p.requests, 0), p.peak_minute, p.most, coalesce(p.impossible, 0), $3
      FROM wanted LEFT JOIN peak p USING (hour) ORDER BY hour
        ON CONFLICT (hour) DO NOTHING
    RETURNING hour, impossible
), duration AS (
    SELECT hour, method, endpoint, jsonb_object_agg(bound, requests ORDER BY bound) AS durations
      FROM (SELECT hour, method, endpoint, bound, sum(requests)::bigint AS requests FROM counted
             GROUP BY hour, method, endpoint, bound) AS d
     GROUP BY hour, method, endpoint
), status AS (
    SELECT hour, method, endpoint, jsonb_object_agg(response_status, requests ORDER BY response_status) AS statuses,
           sum(requests)::bigint AS requests, sum(total_ms)::bigint AS total_ms, max(max_ms) AS max_ms
      FROM (SELECT hour, method, endpoint, response_status, sum(requests)::bigint AS requests, sum(total_ms) AS total_ms,
                   max(max_ms) AS max_ms FROM counted GROUP BY hour, method, endpoint, response_status) AS s
     GROUP BY hour, method, endpoint
), endpoints AS (
    INSERT INTO app.endpoint_hours (hour, method, endpoint, requests, total_ms, max_ms, durations, statuses)
    SELECT s.hour, s.method, s.endpoint, s.requests, s.total_ms, s.max_ms, d.durations, s.statuses
      FROM status s JOIN duration d USING (hour, method, endpoint) JOIN hours USING (hour)
    RETURNING hour
), days AS (
    INSERT INTO app.endpoint_days AS recorded (tenant_id, usage_date, method, endpoint, requests, client_errors,
                                           server_errors, rejected)
    SELECT tenant_id, (c.hour AT TIME ZONE 'Asia/Tokyo')::date, method, endpoint, sum(requests)::bigint,
           coalesce(sum(requests) FILTER (WHERE response_status BETWEEN 400 AND 499), 0)::bigint,
           coalesce(sum(requests) FILTER (WHERE response_status BETWEEN 500 AND 599), 0)::bigint,
           coalesce(sum(requests) FILTER (WHERE response_status IN (403, 429)), 0)::bigint
      FROM counted c JOIN app.tenants USING (tenant_id) JOIN hours USING (hour)
     GROUP BY 1, 2, 3, 4
        ON CONFLICT (tenant_id, usage_date, method, endpoint) DO UPDATE SET
           (requests, client_errors, server_errors, rejected)
         = (recorded.requests + excluded.requests, recorded.client_errors + excluded.client_errors,
            recorded.server_errors + excluded.server_errors, recorded.rejected + excluded.rejected)
    RETURNING tenant_id
)
SELECT (SELECT count(*) FROM hours) AS hours, (SELECT count(*) FROM endpoints) AS endpoint_hours,
       (SELECT count(*) FROM days) AS company_days,
       (SELECT coalesce(sum(impossible), 0)::bigint FROM hours) AS impossible
