-- How the service as a whole answered between $1 and $2. A percentile is the smallest value that so many per cent of the
-- requests do not exceed.
WITH duration AS (
    SELECT response_ms, count(*) AS requests, count(*) FILTER (WHERE response_status BETWEEN 500 AND 599) AS errors
      FROM app.api_call_logs WHERE created_at >= $1 AND created_at < $2
     GROUP BY response_ms
), ranked AS (
    SELECT response_ms, requests, errors, sum(requests) OVER (ORDER BY response_ms) AS up_to,
           sum(requests) OVER () AS all_of_them
      FROM duration
)
SELECT jsonb_build_object(
           'requests', coalesce(sum(requests), 0), 'server_errors', coalesce(sum(errors), 0),
           'error_percent', round(sum(errors) * 100 / sum(requests), 3),
           'response_ms_mean', round(sum(response_ms * requests) / sum(requests), 3),
           'response_ms_p50', min(response_ms) FILTER (WHERE up_to * 100 >= all_of_them * 50),
           'response_ms_p95', min(response_ms) FILTER (WHERE up_to * 100 >= all_of_them * 95))::text
  FROM ranked
