-- The service's days of the month from $1 up to $2, each one; whether it was measured for all companies.
SELECT day::date AS day, d.active_users, d.requests, d.server_errors, d.error_percent, d.response_ms_p95::bigint,
       d.probes, d.probes_good,
       coalesce(d.complete, false) AS whole
  FROM generate_series($1::date::timestamp, $2::date::timestamp - interval '1 day', interval '1 day') AS day
  LEFT JOIN app.system_stats_daily d ON d.usage_date = day::date
 ORDER BY day
 LIMIT 400
