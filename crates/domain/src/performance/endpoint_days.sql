-- What was called on each day of [$1, $2), all companies together.
SELECT method, endpoint, usage_date, sum(requests)::bigint AS requests
  FROM app.endpoint_days WHERE usage_date >= $1 AND usage_date < $2
 GROUP BY method, endpoint, usage_date
 ORDER BY method, endpoint, usage_date
 LIMIT 100000
