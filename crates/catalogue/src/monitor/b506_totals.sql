-- What the run's hour shows over all tenants.
-- $1 now
SELECT coalesce(sum(active), 0)::bigint AS active,
       coalesce(sum(suspicious), 0)::bigint AS suspicious,
       count(*) FILTER (WHERE suspicious > 0) AS tenants_with_suspicion
  FROM app.session_stat_hourly
 WHERE hour = date_trunc('hour', $1, 'Asia/Tokyo')
